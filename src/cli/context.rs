//! What every command gets: which stack, the environment as a value, and where to write.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use chrono_tz::Tz;

use super::args::Global;
use super::failure::{Failure, nearest};
use super::out::Out;
use crate::config::Settings;
use crate::daemon::ServeOptions;
use crate::web;

/// Folder of the state where nobody says otherwise.
const STATE_DIR: &str = "/var/lib/tender";

/// What every command gets.
#[derive(Debug)]
pub(super) struct Context {
    global: Global,
    /// The environment that the process was started with.
    pub(super) environment: BTreeMap<String, String>,
    /// Standard output.
    pub(super) out: Out,
}

impl Context {
    pub(super) fn new(global: Global, environment: BTreeMap<String, String>) -> Self {
        let value = |name: &str| environment.get(name).map(String::as_str);
        let out = Out::new(value("NO_COLOR"), value("TERM"));
        Self { global, environment, out }
    }

    /// Folder of the stack's compose file, absolute.
    ///
    /// # Errors
    /// When nobody named one.
    pub(super) fn compose_dir(&self) -> anyhow::Result<PathBuf> {
        let dir = given(self.global.compose_dir.as_ref()).ok_or_else(|| {
            Failure::config(
                "no stack is named; give --compose-dir DIR or set COMPOSE_DIR to the folder of its docker-compose.yml",
            )
        })?;
        std::path::absolute(&dir).with_context(|| format!("{} is no path", dir.display()))
    }

    /// The stack's `env.local`, absolute, where one is named.
    pub(super) fn env_local(&self) -> anyhow::Result<Option<PathBuf>> {
        given(self.global.env_local.as_ref())
            .map(|file| std::path::absolute(&file).with_context(|| format!("{} is no path", file.display())))
            .transpose()
    }

    /// Folder of the scheduler's state.
    pub(super) fn state_dir(&self) -> PathBuf {
        given(self.global.state_dir.as_ref()).unwrap_or_else(|| STATE_DIR.into())
    }

    /// What the scheduler is started with, and reads its configuration by.
    ///
    /// # Errors
    /// When nobody named a stack.
    pub(super) fn options(&self, on_settings: Box<dyn Fn(&Settings)>) -> anyhow::Result<ServeOptions> {
        Ok(ServeOptions {
            compose_dir: self.compose_dir()?,
            env_local: self.env_local()?,
            state_dir: self.state_dir(),
            process_env: self.environment.clone(),
            on_settings,
        })
    }

    /// A client of the running scheduler.
    pub(super) fn scheduler(&self) -> anyhow::Result<web::Client> {
        web::Client::new(&self.state_dir().join(web::SOCKET))
    }

    /// A variable of the process environment; empty means absent.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    /// The zone where no configuration says otherwise. The process's own `TZ` never matters.
    pub(super) fn default_zone(&self) -> anyhow::Result<Tz> {
        self.variable("SCHEDULER_TIMEZONE").map_or(Ok(Tz::UTC), |name| zone(name).context("SCHEDULER_TIMEZONE"))
    }

    /// Runs a command that waits for something: one thread, as in the scheduler.
    pub(super) fn block_on(&self, work: impl Future<Output = anyhow::Result<u8>>) -> anyhow::Result<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("failed to start the runtime")?;
        let code = tokio::task::LocalSet::new().block_on(&runtime, work);
        // A name that is still being looked up is waited for by nobody.
        runtime.shutdown_background();
        code
    }
}

/// Reads the name of a zone.
pub(super) fn zone(name: &str) -> anyhow::Result<Tz> {
    name.trim().parse().map_err(|_| {
        let near = nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        Failure::config(format!("{name:?} is no time zone{}", near.unwrap_or_default()))
    })
}

fn given(value: Option<&std::ffi::OsString>) -> Option<PathBuf> {
    value.filter(|value| !value.is_empty()).map(PathBuf::from)
}
