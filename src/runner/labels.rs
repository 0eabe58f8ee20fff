//! What the containers of runs carry: enough to rebuild the row of a lost store.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::engine::{Life, Seen};
use crate::job::{ContainerSpec, JobName};
use crate::run::{Occurrence, RunId, RunRecord, State, Trigger, labels};

/// Whose containers these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Compose project of the stack.
    pub stack: String,
    /// Random id of the state dir.
    pub instance: String,
    /// Generation of the scheduler.
    pub generation: u64,
    /// The run that these containers are steps of; its journal decides about them.
    pub parent: Option<RunId>,
}

impl Identity {
    /// The labels that all our containers share, as a question to the engine.
    pub fn filter(&self) -> [(&str, &str); 2] {
        [(labels::STACK, &self.stack), (labels::INSTANCE, &self.instance)]
    }

    /// Whether a container is ours.
    pub fn owns(&self, seen: &Seen) -> bool {
        self.filter().iter().all(|(key, value)| seen.labels.get(*key).is_some_and(|found| found == value))
    }

    /// Whether a container is ours and belongs to this occurrence.
    pub fn owns_run(&self, seen: &Seen, occurrence: &Occurrence) -> bool {
        self.owns(seen) && record_from_labels(seen).is_some_and(|record| record.occurrence == *occurrence)
    }

    /// Gives a container's spec the labels and the environment of a run. They beat the user's own.
    pub fn dress(&self, mut spec: ContainerSpec, record: &RunRecord) -> ContainerSpec {
        let Occurrence { job, planned_for, era, attempt, part } = &record.occurrence;
        let planned = planned_for.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut set = |key: &str, value: String| drop(spec.labels.insert(key.to_owned(), value));
        set(labels::STACK, self.stack.clone());
        set(labels::INSTANCE, self.instance.clone());
        set(labels::GENERATION, self.generation.to_string());
        set(labels::JOB, job.to_string());
        set(labels::RUN, record.id.to_string());
        set(labels::PLANNED, planned.clone());
        set(labels::ERA, era.to_string());
        set(labels::ATTEMPT, attempt.to_string());
        set(labels::PART, part.to_string());
        set(labels::TRIGGER, record.trigger.word().to_owned());
        if let Some(parent) = &self.parent {
            set(labels::PARENT, parent.to_string());
        }
        for (name, value) in
            [("TENDER_RUN", record.id.to_string()), ("TENDER_JOB", job.to_string()), ("TENDER_PLANNED", planned)]
        {
            spec.env.0.insert(name.to_owned(), value);
        }
        spec
    }
}

/// The row that a container's labels tell of; `None` when they are not those of a run.
///
/// One that was never started is *planned*, any other *starting*: what became of it is asked of
/// the engine anyway.
pub fn record_from_labels(seen: &Seen) -> Option<RunRecord> {
    let text = |key: &str| seen.labels.get(key).map(String::as_str);
    let occurrence = Occurrence {
        job: JobName::new(text(labels::JOB)?).ok()?,
        planned_for: DateTime::parse_from_rfc3339(text(labels::PLANNED)?).ok()?.with_timezone(&Utc),
        era: text(labels::ERA)?.parse().ok()?,
        attempt: text(labels::ATTEMPT)?.parse().ok()?,
        part: text(labels::PART)?.parse().ok()?,
    };
    let trigger = text(labels::TRIGGER).and_then(Trigger::from_word).unwrap_or(Trigger::Schedule);
    let mut record = RunRecord::planned(occurrence, trigger);
    record.id = RunId(text(labels::RUN)?.to_owned());
    record.container_name = Some(seen.name.clone());
    record.image = Some(seen.image.clone());
    record.started_at = seen.started_at;
    if seen.life != Life::Created {
        record.state = State::Starting { container: seen.id.clone() };
    }
    Some(record)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::HealthState;

    pub(in crate::runner) fn seen(life: Life, spec: &ContainerSpec) -> Seen {
        Seen {
            id: "c0ffee".to_owned(),
            name: "tender-x".to_owned(),
            life,
            exit_code: None,
            oom: false,
            started_at: None,
            finished_at: None,
            labels: spec.labels.clone(),
            image: "sha256:1".to_owned(),
            restart_count: 0,
            health: HealthState::None,
            restart_policy: "no".to_owned(),
            healthcheck: None,
            mounts: vec![],
            networks: vec![],
            stop_timeout: None,
            pid: None,
        }
    }

    fn identity(instance: &str) -> Identity {
        Identity { stack: "birdhouse".to_owned(), instance: instance.to_owned(), generation: 3, parent: None }
    }

    #[test]
    fn labels_rebuild_the_row() {
        let occurrence = Occurrence {
            job: JobName::new("Renew Let's Encrypt").unwrap(),
            planned_for: DateTime::from_timestamp(1_774_746_000, 0).unwrap(),
            era: 1,
            attempt: 2,
            part: 3,
        };
        let record = RunRecord::planned(occurrence.clone(), Trigger::Retry);
        let spec = identity("a").dress(ContainerSpec::default(), &record);
        assert!(spec.labels.keys().all(|key| key.starts_with("tender.")), "never compose's own");
        let created = record_from_labels(&seen(Life::Created, &spec)).unwrap();
        assert_eq!((&created.id, &created.occurrence, created.trigger), (&record.id, &occurrence, Trigger::Retry));
        assert_eq!(created.state.word(), "planned");
        let exited = seen(Life::Exited, &spec);
        assert_eq!(record_from_labels(&exited).unwrap().state.container(), Some("c0ffee"));
        assert!(identity("a").owns_run(&exited, &occurrence));
        assert!(!identity("b").owns_run(&exited, &occurrence), "another instance");
        let later = Occurrence { attempt: 3, ..occurrence };
        assert!(!identity("a").owns_run(&exited, &later), "another occurrence");
    }

    #[test]
    fn labels_of_others_tell_nothing() {
        assert_eq!(record_from_labels(&seen(Life::Running, &ContainerSpec::default())), None);
    }
}
