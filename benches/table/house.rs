//! A runner with a store and an output of its own, in a folder that goes with it.

use std::rc::Rc;

use tender::config::{Installation, Settings};
use tender::engine::Host;
use tender::job::{Action, ContainerSpec, Job, JobName, Policy};
use tender::runner::labels::Identity;
use tender::runner::output::Output;
use tender::runner::shelf::Shelf;
use tender::runner::{Room, Runner};
use tender::schedule::Schedule;
use tender::store::{Lease, Store};

use crate::stack::installation;

pub(crate) struct House {
    pub(crate) store: Store,
    dir: tempfile::TempDir,
    _lease: Lease,
}

impl House {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let state = dir.path().join("state");
        let Some(lease) = Lease::try_take(&state, None)? else { anyhow::bail!("the lease of a new folder is taken") };
        let store = Store::open(&state, &lease)?.store;
        Ok(Self { store, dir, _lease: lease })
    }

    pub(crate) fn runner<E: Host + 'static>(&self, engine: E) -> anyhow::Result<Runner<E>> {
        self.runner_of(engine, installation("tender"))
    }

    /// A runner whose own containers are of this installation.
    pub(crate) fn runner_of<E: Host + 'static>(
        &self,
        engine: E,
        installation: Installation,
    ) -> anyhow::Result<Runner<E>> {
        let state_dir = self.dir.path().join("state");
        let output = Output::start(Shelf::new(&state_dir))?;
        let stack = format!("tender-bench-{}", tender::run::RunId::random());
        let room = Room {
            identity: Identity { stack, instance: "bench".to_owned(), generation: 1, parent: None },
            settings: Settings {
                state_dir,
                log_dir: self.dir.path().join("logs"),
                ..Settings::defaults(self.dir.path())
            },
            installation,
            paths: vec![],
            stack_env: std::collections::BTreeMap::new(),
        };
        Ok(Runner::new(Rc::new(engine), self.store.clone(), output, room))
    }
}

/// A job that does nothing, in a container without a network.
pub(crate) fn trivial(name: &str, image: &str, schedule: &str) -> anyhow::Result<Job> {
    let spec = ContainerSpec {
        image: image.to_owned(),
        entrypoint: Some(vec!["true".to_owned()]),
        networks: vec!["none".to_owned()],
        ..ContainerSpec::default()
    };
    let schedule = Schedule::parse(schedule, chrono_tz::UTC, name)?;
    Ok(Job::new(JobName::new(name)?, schedule, Action::Run(Box::new(spec)), Policy::default()))
}
