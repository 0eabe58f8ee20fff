//! Stop lists: services that are down while a run's container runs, and come back whatever happens.
//!
//! Between *create* and *mark*, so that a slow pull, or an image that is not there, keeps nobody
//! down: each container of each service is noted in the store, on the disk, and then stopped. When
//! the attempt is over they are started again, the last one first, before the next attempt and
//! before the actions that follow: a pause between attempts, or an upload after a backup, is no
//! reason to be down. Only what ran is noted, so that what was down before stays down.
//!
//! What a note is worth is decided by its run: while that is under way the service stays down;
//! when it is over, or waits in the queue again after a crash, the service is started.

use std::time::Duration;

use super::perform::{Performer, Run, Setback, Stepped};
use crate::compose::label;
use crate::engine::{EngineError, Life, Runs, Seen};
use crate::job::MountSource;
use crate::run::{Ledger, Outcome, RunId, Stopped};

/// What the engine gives a container that was created without a time of its own.
const USUAL_GRACE: Duration = Duration::from_secs(10);

/// How much later than its grace says a stop that is under way may end.
const MARGIN: Duration = Duration::from_secs(10);

/// The services that are stopped for a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopList {
    /// Their names, in the order in which they are stopped.
    pub services: Vec<String>,
    /// Where the state dir lies: a container that may write there is the scheduler's own.
    pub state: Option<MountSource>,
}

impl<E: Runs, L: Ledger> Performer<'_, E, L> {
    /// Stops what is to be down during the run. Gives the outcome where that keeps it from
    /// starting. What was stopped is noted; starting it again is not done here.
    pub(super) async fn stop_services(&self, run: &Run<'_>) -> Stepped<Option<Outcome>> {
        let list = &run.order.stop;
        let mut found = Vec::with_capacity(list.services.len());
        for service in &list.services {
            found.push((service.as_str(), containers(self.engine, &self.identity.stack, service).await?));
        }
        let chosen = match choose(&found, list.state.as_ref()) {
            Ok(chosen) => chosen,
            Err(why) => return Ok(Some(Outcome::CouldNotStart(why))),
        };
        for (service, seen) in chosen {
            if run.order.cancel.is_cancelled() {
                return Ok(Some(Outcome::Cancelled));
            }
            let note = note(&run.record.id, &self.identity.stack, service, seen);
            self.ledger.stopped(&note).await.map_err(Setback::Ledger)?;
            fail::fail_point!("stop.noted");
            // Never given up half-way: a stop that still goes on would undo the start after it.
            match self.engine.stop(&seen.id, Duration::from_millis(note.grace_ms)).await {
                Ok(()) | Err(EngineError::NotFound(_)) => {}
                Err(error @ EngineError::Unavailable(_)) => return Err(error.into()),
                Err(error) => {
                    return Ok(Some(Outcome::CouldNotStart(format!("{service} could not be stopped: {error}"))));
                }
            }
            tracing::info!(run.id = %run.record.id, job.name = %run.record.occurrence.job, service, container = seen.name, "stopped {service} for the run");
            fail::fail_point!("stop.stopped");
        }
        Ok(run.order.cancel.is_cancelled().then_some(Outcome::Cancelled))
    }
}

/// The containers of a service, those of `run` left out, by their numbers.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn containers<E: Runs>(engine: &E, project: &str, service: &str) -> Result<Vec<Seen>, EngineError> {
    let mut found = Vec::new();
    for id in engine.list(&[(label::PROJECT, project), (label::SERVICE, service)]).await? {
        found.extend(engine.look(&id).await?.filter(|seen| !label::is_oneoff(&seen.labels)));
    }
    found.retain(|seen| seen.life != Life::Removing);
    found.sort_by_key(|seen| (label::number_of(&seen.labels), seen.name.clone()));
    Ok(found)
}

/// What is to be stopped of the services and their containers, in order. Nothing is stopped where
/// one of them cannot be.
fn choose<'a>(
    found: &'a [(&'a str, Vec<Seen>)],
    state: Option<&MountSource>,
) -> Result<Vec<(&'a str, &'a Seen)>, String> {
    let mut chosen: Vec<(&str, &Seen)> = Vec::new();
    for (service, containers) in found {
        if containers.is_empty() {
            return Err(format!("{service}, which is to be stopped for it, has no container: is it a service?"));
        }
        if containers.iter().any(|seen| state.is_some_and(|state| is_own(seen, state))) {
            return Err(format!("{service}, which is to be stopped for it, is the scheduler itself"));
        }
        chosen.extend(containers.iter().filter(|seen| seen.life == Life::Running).map(|seen| (*service, seen)));
    }
    Ok(chosen)
}

/// Whether a service's container holds the state dir.
fn is_own(seen: &Seen, state: &MountSource) -> bool {
    seen.mounts.iter().filter(|mount| mount.writable).any(|mount| match state {
        MountSource::Volume(name) => mount.name.as_ref() == Some(name),
        MountSource::Bind(path) => mount.name.is_none() && mount.source == *path,
        MountSource::Anonymous | MountSource::Tmpfs(_) => false,
    })
}

fn note(run: &RunId, project: &str, service: &str, seen: &Seen) -> Stopped {
    let grace = seen.stop_timeout.unwrap_or(USUAL_GRACE);
    Stopped {
        run: run.clone(),
        project: project.to_owned(),
        service: service.to_owned(),
        container: seen.id.clone(),
        number: label::number_of(&seen.labels),
        started_at: seen.started_at,
        grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
    }
}

/// What brings a service back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Back {
    /// To start this container.
    Start(String),
    /// To see for so long whether this container stops: the stop may still be under way. If it
    /// does it is to be started, if not it was never stopped.
    Watch(String, Duration),
    /// Nothing: it runs again, or it is the stack's no more.
    Nothing,
}

/// What brings back what was noted, from the containers that the service has now.
pub(super) fn back(note: &Stopped, present: &[Seen]) -> Back {
    let same = present.iter().find(|seen| seen.id == note.container);
    // A deploy may have put another one in its place.
    let successor = || present.iter().find(|seen| label::number_of(&seen.labels) == note.number);
    match same.or_else(successor) {
        None => Back::Nothing,
        Some(seen) if seen.life != Life::Running => Back::Start(seen.id.clone()),
        Some(seen) if seen.id == note.container && seen.started_at == note.started_at => {
            Back::Watch(seen.id.clone(), Duration::from_millis(note.grace_ms).saturating_add(MARGIN))
        }
        Some(_) => Back::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use chrono::DateTime;

    use super::*;
    use crate::engine::SeenMount;
    use crate::job::ContainerSpec;
    use crate::runner::labels::tests::seen;

    fn container(id: &str, number: u32, life: Life) -> Seen {
        let labels = [(label::NUMBER, number.to_string())].map(|(k, v)| (k.to_owned(), v));
        let spec = ContainerSpec { labels: labels.into(), ..ContainerSpec::default() };
        Seen { id: id.to_owned(), started_at: Some(DateTime::UNIX_EPOCH), ..seen(life, &spec) }
    }

    #[test]
    fn what_ran_is_stopped_in_the_order_of_the_list() {
        let found = [
            ("web", vec![container("w1", 1, Life::Running), container("w2", 2, Life::Exited)]),
            ("db", vec![container("d1", 1, Life::Running)]),
        ];
        let ids = |chosen: Vec<(&str, &Seen)>| chosen.iter().map(|(_, seen)| seen.id.clone()).collect::<Vec<_>>();
        assert_eq!(choose(&found, None).map(ids), Ok(vec!["w1".to_owned(), "d1".to_owned()]));
        let found = [("web", vec![container("w1", 1, Life::Running)]), ("wbe", vec![])];
        assert!(choose(&found, None).unwrap_err().contains("wbe, which is to be stopped for it, has no container"));
    }

    #[test]
    fn the_scheduler_does_not_stop_itself() {
        let mount = |name: Option<&str>, source: &str, writable| SeenMount {
            kind: String::new(),
            name: name.map(str::to_owned),
            source: source.into(),
            target: "/state".into(),
            writable,
        };
        let volume = MountSource::Volume("tender".to_owned());
        let bind = MountSource::Bind(PathBuf::from("/srv/state"));
        for (mount, state, own) in [
            (mount(Some("tender"), "/volumes/tender", true), &volume, true),
            (mount(Some("tender"), "/volumes/tender", false), &volume, false),
            (mount(Some("other"), "/volumes/other", true), &volume, false),
            (mount(None, "/srv/state", true), &bind, true),
            (mount(None, "/srv", true), &bind, false),
        ] {
            let found = [("x", vec![Seen { mounts: vec![mount], ..container("x1", 1, Life::Running) }])];
            assert_eq!(choose(&found, Some(state)).is_err(), own, "{found:?}");
        }
    }

    #[test]
    fn what_brings_a_service_back() {
        let run = RunId("r".to_owned());
        let note = note(&run, "stack", "web", &container("w1", 1, Life::Running));
        let restarted = Seen { started_at: None, ..container("w1", 1, Life::Running) };
        let start = |id: &str| Back::Start(id.to_owned());
        for (present, expected) in [
            (vec![container("w1", 1, Life::Exited), container("w2", 2, Life::Exited)], start("w1")),
            (vec![container("w1", 1, Life::Running)], Back::Watch("w1".to_owned(), Duration::from_secs(20))),
            (vec![restarted], Back::Nothing),
            (vec![container("n2", 2, Life::Exited), container("n1", 1, Life::Created)], start("n1")),
            (vec![container("n1", 1, Life::Running)], Back::Nothing),
            (vec![container("n2", 2, Life::Exited)], Back::Nothing),
            (vec![], Back::Nothing),
        ] {
            assert_eq!(back(&note, &present), expected, "{present:?}");
        }
    }
}
