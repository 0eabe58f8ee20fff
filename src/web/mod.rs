//! The control socket: how the command line talks to the scheduler, never by TCP.
//!
//! HTTP/1.1 with JSON bodies over `<state>/control.sock`, which only its owner may open. Both ends
//! of the protocol live here: [`serve_control`] in the scheduler, [`Client`] in the command line.

mod client;
mod protocol;
mod routes;
mod socket;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::{mpsc, watch};

pub use client::{CallError, Client};
pub use protocol::{HealthReply, Refusal, RunReply, RunRequest, StartReply, StopRequest};

use crate::run::{Command, RunId, RunRecord, Snapshot};

/// File name of the control socket below the state dir.
pub const SOCKET: &str = "control.sock";

/// Looks up the durable row of a run. Called on a blocking thread.
pub type Lookup = Arc<dyn Fn(&RunId) -> anyhow::Result<Option<RunRecord>> + Send + Sync>;

/// What the socket passes on and shows.
#[derive(Clone)]
pub struct Control {
    /// Requests to the daemon's loop.
    pub commands: mpsc::Sender<Command>,
    /// The daemon as it is. A new one must be sent after the end of a run is durable: whoever
    /// waits for a run looks it up again at each new snapshot.
    pub snapshot: watch::Receiver<Snapshot>,
    /// The rows of runs.
    pub lookup: Lookup,
}

/// Binds the socket at `path` (mode 0600, taking the place of a dead predecessor's) and answers
/// until it is dropped. The file stays behind: a successor may own it by then, and a socket that
/// nobody listens on refuses at once.
///
/// # Errors
/// When the socket cannot be bound, or accepting ends.
pub async fn serve_control(path: &Path, control: Control) -> anyhow::Result<()> {
    let listener = socket::bind(path)?;
    axum::serve(listener, routes::router(control)).await.context("the control socket ended")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use crate::job::JobName;
    use crate::run::{Health, NotStopped, Occurrence, Outcome, Reloaded, State, Stopping, Trigger};

    struct Daemon {
        client: Client,
        commands: mpsc::Receiver<Command>,
        snapshot: watch::Sender<Snapshot>,
        rows: Arc<Mutex<BTreeMap<RunId, RunRecord>>>,
        server: tokio::task::JoinHandle<anyhow::Result<()>>,
        _dir: tempfile::TempDir,
    }

    async fn daemon() -> Daemon {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        let (sender, commands) = mpsc::channel(4);
        let (snapshot, receiver) = watch::channel(Snapshot { stack: "birdhouse".into(), ..Snapshot::default() });
        let rows: Arc<Mutex<BTreeMap<RunId, RunRecord>>> = Arc::default();
        let seen = rows.clone();
        let lookup: Lookup = Arc::new(move |id| Ok(seen.lock().unwrap().get(id).cloned()));
        let control = Control { commands: sender, snapshot: receiver, lookup };
        let at = path.clone();
        // Bound before the client connects: the socket is there once the first poll has returned.
        let server = tokio::spawn(async move { serve_control(&at, control).await });
        tokio::task::yield_now().await;
        assert!(path.exists());
        Daemon { client: Client::new(&path).unwrap(), commands, snapshot, rows, server, _dir: dir }
    }

    fn record() -> RunRecord {
        RunRecord::planned(
            Occurrence::first(JobName::new("backup").unwrap(), chrono::DateTime::UNIX_EPOCH, 0),
            Trigger::Manual,
        )
    }

    #[tokio::test]
    async fn the_snapshot_is_shown_and_only_the_owner_may_ask() {
        use std::os::unix::fs::PermissionsExt;
        let daemon = daemon().await;
        assert_eq!(daemon.client.status().await.unwrap().stack, "birdhouse");
        let mode = std::fs::metadata(daemon._dir.path().join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn health_follows_the_snapshot() {
        let daemon = daemon().await;
        for health in [Health::Ok, Health::Degraded, Health::Failing] {
            daemon.snapshot.send_modify(|s| s.health = health);
            assert_eq!(daemon.client.health().await.unwrap().health, health);
        }
    }

    #[tokio::test]
    async fn a_run_is_asked_of_the_loop_and_a_refusal_comes_back_in_its_words() {
        let mut daemon = daemon().await;
        let request =
            RunRequest { job: JobName::new("backup").unwrap(), env: [("A".to_owned(), "1".to_owned())].into() };
        let answers = async {
            for answer in [Ok(RunId("0123456789ab".into())), Err("only reads".to_owned())] {
                let Some(Command::Run { job, env, reply }) = daemon.commands.recv().await else { panic!("no run") };
                assert_eq!((job.as_str(), env["A"].as_str()), ("backup", "1"));
                reply.send(answer).unwrap();
            }
        };
        let asks = async {
            assert_eq!(daemon.client.run(&request).await.unwrap().as_str(), "0123456789ab");
            let refusal = daemon.client.run(&request).await.unwrap_err();
            assert!(matches!(refusal, CallError::Refused(why) if why == "only reads"));
        };
        tokio::join!(answers, asks);
    }

    #[tokio::test]
    async fn the_end_of_a_run_is_asked_of_the_loop() {
        let mut daemon = daemon().await;
        let stopping = Stopping {
            id: RunId("0123456789ab".into()),
            job: JobName::new("backup").unwrap(),
            waited: false,
            gentle: false,
        };
        let answers = async {
            for answer in [
                Ok(stopping.clone()),
                Err(NotStopped::Unknown("no such run".to_owned())),
                Err(NotStopped::Refused("ended already".to_owned())),
            ] {
                let Some(Command::Stop { what, reply }) = daemon.commands.recv().await else { panic!("no stop") };
                assert_eq!(what, "backup");
                reply.send(answer).unwrap();
            }
        };
        let request = StopRequest { what: "backup".to_owned() };
        let asks = async {
            assert_eq!(daemon.client.stop(&request).await.unwrap(), stopping);
            let unknown = daemon.client.stop(&request).await.unwrap_err();
            assert!(matches!(unknown, CallError::Unknown(why) if why == "no such run"));
            let refused = daemon.client.stop(&request).await.unwrap_err();
            assert!(matches!(refused, CallError::Refused(why) if why == "ended already"));
        };
        tokio::join!(answers, asks);
    }

    #[tokio::test]
    async fn a_reload_says_what_changed() {
        let mut daemon = daemon().await;
        let what = Reloaded { jobs: 3, added: vec![JobName::new("backup").unwrap()], ..Reloaded::default() };
        let answer = what.clone();
        let answer = async {
            let Some(Command::Reload { reply }) = daemon.commands.recv().await else { panic!("no reload") };
            reply.send(Ok(answer)).unwrap();
        };
        let (_, said) = tokio::join!(answer, daemon.client.reload());
        assert_eq!(said.unwrap(), what);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_run_learns_of_its_end() {
        let daemon = daemon().await;
        let mut row = record();
        let id = row.id.clone();
        assert!(matches!(daemon.client.wait(&id).await.unwrap_err(), CallError::Unknown(_)));

        daemon.rows.lock().unwrap().insert(id.clone(), row.clone());
        let ends = async {
            tokio::task::yield_now().await;
            row.state = State::Finished(Outcome::Failed { code: 7, oom: false });
            row.exit_code = Some(7);
            daemon.rows.lock().unwrap().insert(id.clone(), row);
            daemon.snapshot.send_modify(|s| s.generation += 1);
        };
        let (reply, ()) = tokio::join!(daemon.client.wait(&id), ends);
        let reply = reply.unwrap();
        assert_eq!((reply.outcome, reply.exit_code), (Some(Outcome::Failed { code: 7, oom: false }), Some(7)));
    }

    #[tokio::test]
    async fn a_dead_predecessors_socket_is_replaced_and_refuses_at_once() {
        let daemon = daemon().await;
        let path = daemon._dir.path().join(SOCKET);
        daemon.server.abort();
        let _ = daemon.server.await;
        let alone = Client::new(&path).unwrap();
        assert!(matches!(alone.status().await.unwrap_err(), CallError::Absent(_)));

        let (commands, _keep) = mpsc::channel(1);
        let (_sender, snapshot) = watch::channel(Snapshot { generation: 2, ..Snapshot::default() });
        let control = Control { commands, snapshot, lookup: Arc::new(|_| Ok(None)) };
        let at = path.clone();
        let server = tokio::spawn(async move { serve_control(&at, control).await });
        tokio::task::yield_now().await;
        assert_eq!(Client::new(&path).unwrap().status().await.unwrap().generation, 2);
        server.abort();
    }

    #[tokio::test]
    async fn no_socket_is_no_scheduler() {
        let dir = tempfile::tempdir().unwrap();
        let client = Client::new(&dir.path().join(SOCKET)).unwrap();
        assert!(matches!(client.status().await.unwrap_err(), CallError::Absent(_)));
    }
}
