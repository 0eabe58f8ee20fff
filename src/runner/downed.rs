//! Services that went down with the engine and were not brought back by it.
//!
//! After a crash the next engine process stops what still runs as a person would, so that what is
//! to run `unless-stopped` stays down (measured on 20.10 and 26.1).

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::comeback::Comeback;
use super::gap::{self, Engine};
use crate::compose::label;
use crate::engine::{EngineError, Host, Life, Seen};

/// A container that has not run since the engine began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Down {
    pub(super) id: String,
    pub(super) service: String,
    name: String,
    started_at: Option<DateTime<Utc>>,
    /// Its restart policy asks for it.
    wanted: bool,
    /// Why it could not be started. One try is enough: what refuses once is for a person.
    failed: Option<String>,
}

/// Knows them and, where that is wanted, starts them once.
pub struct Downed<E> {
    engine: Rc<E>,
    comeback: Rc<Comeback<E>>,
    project: String,
    /// `None` before the first look.
    standing: RefCell<Option<Vec<Down>>>,
}

impl<E: Host> Downed<E> {
    pub(super) const fn new(engine: Rc<E>, comeback: Rc<Comeback<E>>, project: String) -> Self {
        Self { engine, comeback, project, standing: RefCell::new(None) }
    }

    /// Looks which are down still, and starts those with a restart policy if told so. Gives what is
    /// left as a sentence; `None` is for good.
    ///
    /// # Errors
    /// When the engine or the store does not answer: to be called again.
    pub async fn round(&self, revive: bool) -> Result<Option<String>> {
        let before = self.standing.borrow().clone();
        let mut left = Vec::new();
        for mut down in match before {
            Some(before) => self.still(before).await?,
            None => self.comeback.without_noted(find(&*self.engine, &self.project).await?).await?,
        } {
            if revive && down.wanted && down.failed.is_none() {
                match self.comeback.revive(&down).await {
                    Ok(true) => {
                        tracing::warn!(
                            service = down.service,
                            container = down.name,
                            "started {} again: it had gone down with the engine",
                            down.service
                        );
                        fail::fail_point!("revive.started");
                        continue;
                    }
                    Ok(false) => {}
                    Err(error) if matches!(error.downcast_ref(), Some(EngineError::Unavailable(_))) => {
                        return Err(error);
                    }
                    Err(error) => {
                        tracing::error!(
                            service = down.service,
                            container = down.name,
                            "{} went down with the engine and cannot be started: {error:#}",
                            down.service
                        );
                        down.failed = Some(format!("{error:#}"));
                    }
                }
            }
            left.push(down);
        }
        let sentence = (!left.is_empty()).then(|| sentence(&left));
        *self.standing.borrow_mut() = Some(left);
        Ok(sentence)
    }

    /// Those that nobody has started, removed or replaced meanwhile.
    async fn still(&self, before: Vec<Down>) -> Result<Vec<Down>> {
        let mut left = Vec::with_capacity(before.len());
        for down in before {
            let seen = self.engine.look(&down.id).await?;
            if seen.is_some_and(|seen| seen.life == Life::Exited && seen.started_at == down.started_at) {
                left.push(down);
            }
        }
        Ok(left)
    }
}

async fn find(engine: &impl Host, project: &str) -> Result<Vec<Down>, EngineError> {
    let mut all = engine.project(project).await?;
    all.retain(|seen| label::service_of(&seen.labels).is_some() && !label::is_oneoff(&seen.labels));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let (exited, others): (Vec<Seen>, Vec<Seen>) = all.into_iter().partition(|seen| seen.life == Life::Exited);
    let place = |seen: &Seen| (label::service_of(&seen.labels).map(str::to_owned), label::number_of(&seen.labels));
    let replaced = |seen: &Seen| others.iter().any(|o| o.life == Life::Running && place(o) == place(seen));
    let exited: Vec<Seen> = exited.into_iter().filter(|seen| !replaced(seen)).collect();
    if exited.is_empty() {
        return Ok(Vec::new());
    }
    let ends = gap::engine_of_each(engine, &exited).await?;
    Ok(exited.iter().zip(ends).filter_map(|(seen, end)| down(seen, end)).collect())
}

/// Whether it is down because of the engine, and ought not to be.
fn down(seen: &Seen, end: Engine) -> Option<Down> {
    let Engine::Another { interrupted: true, crashed } = end else { return None };
    let failed = seen.exit_code != Some(0);
    let (counts, wanted) = match seen.restart_policy.as_str() {
        "always" => (true, true),
        // After an orderly stop the engine itself starts all that no person had stopped.
        "unless-stopped" => (true, crashed),
        "on-failure" => (failed || crashed, failed),
        // One that had done its work looks the same.
        _ => (failed || crashed, false),
    };
    counts.then(|| Down {
        id: seen.id.clone(),
        service: label::service_of(&seen.labels).unwrap_or_default().to_owned(),
        name: seen.name.clone(),
        started_at: seen.started_at,
        wanted,
        failed: None,
    })
}

fn sentence(left: &[Down]) -> String {
    let each = left.iter().map(|down| match &down.failed {
        Some(why) => format!("{} (cannot be started: {why})", down.service),
        None => down.service.clone(),
    });
    let names: Vec<&str> = left.iter().map(|down| down.name.as_str()).collect();
    let each = each.collect::<Vec<_>>().join(", ");
    format!("down since the engine's start: {each}; `docker start {}` starts what is to run", names.join(" "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;
    use crate::engine::Runs;
    use crate::engine::fake::Fake;
    use crate::run::{RunId, Stopped};
    use crate::store::{Lease, Store};

    struct House {
        fake: Fake,
        store: Store,
        comeback: Rc<Comeback<Fake>>,
        _lease: Lease,
        _dir: tempfile::TempDir,
    }

    impl House {
        /// A stack with a service of each kind, whose engine crashes a while later.
        async fn crashed() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let lease = Lease::try_take(dir.path(), None).unwrap().unwrap();
            let store = Store::open(dir.path(), &lease).unwrap().store;
            let fake = Fake::new();
            for (name, policy) in [
                ("always", "always"),
                ("by-hand", "unless-stopped"),
                ("failing", "on-failure"),
                ("never", "no"),
                ("oneoff", "unless-stopped"),
                ("web", "unless-stopped"),
            ] {
                fake.service("stack", name, name);
                fake.edit(name, |seen| policy.clone_into(&mut seen.restart_policy));
            }
            fake.edit("oneoff", |seen| drop(seen.labels.insert(label::ONEOFF.to_owned(), "True".to_owned())));
            fake.service("other", "web", "other-web");
            fake.edit("other-web", |seen| "unless-stopped".clone_into(&mut seen.restart_policy));
            fake.stop("by-hand", Duration::from_secs(10)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
            fake.engine_crash();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (sender, _) = mpsc::unbounded_channel();
            let comeback = Rc::new(Comeback::new(Rc::new(fake.clone()), store.clone(), sender));
            Self { fake, store, comeback, _lease: lease, _dir: dir }
        }

        fn downed(&self) -> Downed<Fake> {
            Downed::new(Rc::new(self.fake.clone()), Rc::clone(&self.comeback), "stack".to_owned())
        }

        fn started(&self) -> Vec<String> {
            self.fake.calls_of("start")
        }
    }

    fn says(services: &str, containers: &str) -> Option<String> {
        Some(format!("down since the engine's start: {services}; `docker start {containers}` starts what is to run"))
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_reported_until_they_run_and_left_alone() {
        let house = House::crashed().await;
        let downed = house.downed();
        let all = says("failing, never, web", "failing never web");
        assert_eq!(downed.round(false).await.unwrap(), all);
        assert_eq!(downed.round(false).await.unwrap(), all);
        assert_eq!(house.started(), [""; 0]);
        house.fake.start("web").await.unwrap();
        house.fake.kill("web");
        house.fake.vanish("never");
        assert_eq!(downed.round(false).await.unwrap(), says("failing", "failing"), "one ran meanwhile, one is gone");
        house.fake.start("failing").await.unwrap();
        assert_eq!(downed.round(false).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn those_with_a_restart_policy_are_started_once() {
        let house = House::crashed().await;
        let downed = house.downed();
        assert_eq!(downed.round(true).await.unwrap(), says("never", "never"));
        assert_eq!(house.started(), ["failing", "web"]);
        // Neither does this process start again what a person stops, nor the next one.
        house.fake.stop("web", Duration::from_secs(10)).await.unwrap();
        assert_eq!(downed.round(true).await.unwrap(), says("never", "never"));
        assert_eq!(house.downed().round(true).await.unwrap(), says("never", "never"));
        assert_eq!(house.started(), ["failing", "web"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_cannot_be_started_stays_reported() {
        let house = House::crashed().await;
        let downed = house.downed();
        house.fake.fail_next("start", EngineError::Unavailable("away".to_owned()));
        assert!(downed.round(true).await.is_err(), "an engine that is away is asked again");
        house.fake.fail_next("start", EngineError::Other("its port is taken".to_owned()));
        let left = says("failing (cannot be started: its port is taken), never", "failing never");
        assert_eq!(downed.round(true).await.unwrap(), left);
        assert_eq!(downed.round(true).await.unwrap(), left);
        assert_eq!(house.started(), ["failing", "failing", "web"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_run_needs_down_waits_for_its_end() {
        let house = House::crashed().await;
        let (run, downed) = (RunId("r".to_owned()), house.downed());
        house.comeback.hold(&run, &["web".to_owned()]);
        assert_eq!(downed.round(true).await.unwrap(), says("never, web", "never web"));
        house.comeback.release(&run).await;
        assert_eq!(downed.round(true).await.unwrap(), says("never", "never"));
        assert_eq!(house.started(), ["failing", "web"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_stopped_for_a_run_is_another_matter() {
        let house = House::crashed().await;
        let web = house.fake.look("web").await.unwrap().unwrap();
        let note = Stopped {
            run: RunId("r".to_owned()),
            project: "stack".to_owned(),
            service: "web".to_owned(),
            container: web.id,
            number: Some(1),
            started_at: web.started_at,
            grace_ms: 10_000,
        };
        house.store.note_stopped(&note).await.unwrap();
        assert_eq!(house.downed().round(true).await.unwrap(), says("never", "never"));
        assert_eq!(house.started(), ["failing"]);
    }

    #[test]
    fn who_is_down_and_who_is_wanted() {
        let (stopped, crashed) = ([Some(false), Some(true)], true);
        for (policy, code, ended, expected) in [
            ("always", 0, Some(!crashed), stopped[1]),
            ("always", 0, None, None),
            // Stopped by a person just before, perhaps.
            ("unless-stopped", 143, Some(!crashed), stopped[0]),
            ("unless-stopped", 0, Some(crashed), stopped[1]),
            ("on-failure", 0, Some(!crashed), None),
            ("on-failure", 0, Some(crashed), stopped[0]),
            ("on-failure", 137, Some(!crashed), stopped[1]),
            ("no", 0, Some(!crashed), None),
            ("no", 137, Some(crashed), stopped[0]),
        ] {
            let mut seen = super::super::labels::tests::seen(Life::Exited, &crate::job::ContainerSpec::default());
            policy.clone_into(&mut seen.restart_policy);
            seen.exit_code = Some(code);
            let end = ended.map_or(Engine::Same, |crashed| Engine::Another { interrupted: true, crashed });
            assert_eq!(down(&seen, end).map(|down| down.wanted), expected, "{policy}, {code}, {ended:?}");
        }
    }
}
