//! The composition root of `serve`: builds everything, owns the one loop, reload and shutdown.
//!
//! There is one way to start, and it is recovery: lease → configuration → store → unfinished
//! journals → containers and rows → missed occurrences → armed.

mod configuration;
mod health;
mod options;
mod snapshot;
mod standby;
mod state;
mod watchdog;

pub use options::ServeOptions;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::config::LoadError;
use crate::engine::docker::Docker;
use crate::engine::{Host, Runs, SeenMount};
use crate::run::{Command, Snapshot};
use crate::runner::installation;
use crate::scheduler::{Alarm, Ring};
use crate::store::Store;
use crate::web::{Control, SOCKET, serve_control};
use configuration::View;
use state::Daemon;
use watchdog::Watchdog;

/// Time for flushing at the end; then the process goes, whatever is left.
const FLUSH: Duration = Duration::from_secs(3);

/// Runs the scheduler until it is told to stop. Gives the exit code.
///
/// # Errors
/// When it cannot begin: no engine, no configuration, no state dir.
pub fn serve(options: ServeOptions) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let ended = local.block_on(&runtime, run(options));
    // Blocking threads may hang in a call that never returns; the end does not wait for them.
    runtime.shutdown_background();
    ended.map(|()| 0)
}

async fn run(options: ServeOptions) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let watchdog = Watchdog::start()?;

    let docker = Docker::connect_and_listen(options.process_env.get("DOCKER_HOST").map(String::as_str))?;
    let engine = watchdog.attend(docker.info()).await?;
    tracing::info!(version = %engine.version, api = %engine.api, "the engine answers");
    if !options.compose_dir.is_dir() {
        return Err(LoadError::Missing {
            path: options.compose_dir.clone(),
            hint: "COMPOSE_DIR must be the folder of the stack's docker-compose.yml, mounted at the same path"
                .to_owned(),
        }
        .into());
    }
    std::fs::create_dir_all(&options.state_dir)
        .with_context(|| format!("the state dir {} cannot be used", options.state_dir.display()))?;
    // It holds commands, environments and output of jobs: nobody else's business.
    std::fs::set_permissions(&options.state_dir, Permissions::from_mode(0o700))
        .with_context(|| format!("the state dir {} cannot be closed to others", options.state_dir.display()))?;

    let lease = tokio::select! {
        lease = standby::wait_for_lease(&options, &watchdog) => lease?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tracing::info!(generation = lease.generation(), "this scheduler holds the lease");
    if let Some(handover) = crate::handover::journal(&options.state_dir).read()?
        && handover.step != crate::handover::HandoverStep::Done
    {
        tracing::warn!(step = ?handover.step, "a hand-over was left unfinished");
    }

    let instance = crate::store::instance(&options.state_dir, &lease)?;
    let me = watchdog.attend(docker.me()).await?.map(|me| me.seen);
    let view = me.as_ref().map_or_else(View::whole, |me| View::below(same_paths(&me.mounts)));
    // Outside a container it has to be named.
    let named = options.process_env.get("SCHEDULER_IMAGE").filter(|image| !image.is_empty());
    let named = || named.map_or("tender:latest", String::as_str).to_owned();
    let image = me.as_ref().map_or_else(named, |me| me.image.clone());
    let installation = watchdog.attend(installation::find(&docker, &image, &options.state_dir, instance)).await?;
    let opened = Store::open(&options.state_dir, &lease)?;

    let (commands, mut inbox) = mpsc::channel::<Command>(64);
    let (pictures, snapshot) = watch::channel(Snapshot::default());
    let reader = std::sync::Mutex::new(Store::open_read_only(&options.state_dir)?);
    let control = Control {
        commands,
        snapshot,
        lookup: std::sync::Arc::new(move |id| reader.lock().unwrap_or_else(PoisonError::into_inner).get(id)),
    };
    let socket = options.state_dir.join(SOCKET);
    let (found, mut looks) = mpsc::channel(4);
    let mut daemon = Daemon::new(
        options,
        Rc::new(docker),
        installation,
        me.map(|me| me.id).unwrap_or_default(),
        opened,
        lease,
        pictures,
        found,
        view,
    );
    // Given up half-way it is as after a crash: the next start goes on.
    tokio::select! {
        begun = watchdog.attend(daemon.begin()) => begun?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    // Nobody is answered before there is something to say.
    daemon.show();
    let serving = tokio::spawn(async move {
        if let Err(error) = serve_control(&socket, control).await {
            tracing::error!("nobody can be answered at {}: {error:#}", socket.display());
        }
    });
    let mut alarm = Alarm::start().await?;
    let mut housekeeping = tokio::time::interval(Duration::from_secs(1));
    housekeeping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    tracing::info!("armed");
    let mut broken = None;
    loop {
        watchdog.turn();
        daemon.show();
        let next = daemon.next_due();
        let picture = daemon.next_picture();
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                tracing::info!("SIGHUP: the configuration is read again");
                daemon.start_look(None);
            }
            ring = alarm.next(next) => match ring {
                Ring::Due => daemon.plan_due().await,
                Ring::Stepped(step) => daemon.clock_stepped(step.from, step.to).await,
                Ring::TickLost => daemon.tick_lost(),
            },
            event = daemon.next_event() => watchdog.attend(daemon.on_event(event)).await,
            Some(command) = inbox.recv() => daemon.on_command(command).await,
            Some(look) = looks.recv() => watchdog.attend(daemon.on_look(look)).await,
            _ = housekeeping.tick() => {
                watchdog.attend(daemon.housekeeping()).await;
                broken = daemon.must_end();
                if broken.is_some() {
                    break;
                }
                continue;
            }
            () = at(picture) => continue,
        }
        daemon.touch();
    }
    tracing::info!("stopping: runs go on in their containers and are taken up at the next start");
    serving.abort();
    // A look under way removes its container when it ends; half of the time is for that.
    if daemon.is_looking() {
        let _ = tokio::time::timeout(FLUSH / 2, looks.recv()).await;
    }
    if tokio::time::timeout(FLUSH, daemon.flush()).await.is_err() {
        tracing::warn!("not everything could be flushed in time; the next start reads it again from the engine");
    }
    match broken {
        None => Ok(()),
        Some(what) => Err(anyhow::anyhow!(what)),
    }
}

/// Waits for an instant, for ever without one.
async fn at(instant: Option<tokio::time::Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Folders of the host that lie inside at their own path.
fn same_paths(mounts: &[SeenMount]) -> Vec<std::path::PathBuf> {
    mounts.iter().filter(|m| m.kind == "bind" && m.source == m.target).map(|m| m.target.clone()).collect()
}
