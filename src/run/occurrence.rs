//! Occurrences and the names and labels that make them unique on an engine.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::job::JobName;

/// Labels of a run's container. They hold all that is needed to rebuild the row of a lost store.
/// Never compose's own: `--remove-orphans` would delete a running job.
pub mod labels {
    /// Compose project of the stack that the run belongs to.
    pub const STACK: &str = "tender.stack";
    /// Random id of the state dir; a container of another instance is never touched.
    pub const INSTANCE: &str = "tender.instance";
    /// Name of the job.
    pub const JOB: &str = "tender.job";
    /// Id of the run.
    pub const RUN: &str = "tender.run";
    /// Planned instant, RFC 3339 in UTC.
    pub const PLANNED: &str = "tender.planned";
    /// Clock era of the planned instant.
    pub const ERA: &str = "tender.era";
    /// Attempt, from 1.
    pub const ATTEMPT: &str = "tender.attempt";
    /// Part of the run: 0 is the main action, follow-ups and steps count from 1.
    pub const PART: &str = "tender.part";
    /// Generation of the scheduler that created it.
    pub const GENERATION: &str = "tender.generation";
    /// What asked for it, a word of `Trigger`.
    pub const TRIGGER: &str = "tender.trigger";
    /// Run that this container is a step of; its journal decides about it, not the scheduler.
    pub const PARENT: &str = "tender.parent";
    /// Service of the stack that the container is a one-off of.
    pub const ONEOFF: &str = "tender.oneoff";
    /// Compose dir of the stack, on containers made before its project is known: probes.
    pub const COMPOSE_DIR: &str = "tender.compose-dir";
    /// Marks containers that belong to no run: probes, stage containers.
    pub const ROLE: &str = "tender.role";
}

/// Identifies a run for ever: twelve hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl RunId {
    /// A new random id.
    pub fn random() -> Self {
        let mut id = uuid::Uuid::new_v4().simple().to_string();
        id.truncate(12);
        Self(id)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One instant at which a job is due, down to the container launch: unique for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Occurrence {
    /// The job.
    pub job: JobName,
    /// The planned instant, whole seconds.
    pub planned_for: DateTime<Utc>,
    /// Counts backward steps of the clock.
    pub era: u32,
    /// Attempt, from 1.
    pub attempt: u32,
    /// 0 for the main action, follow-ups and steps count from 1.
    pub part: u32,
}

impl Occurrence {
    /// The first attempt of the main action.
    pub const fn first(job: JobName, planned_for: DateTime<Utc>, era: u32) -> Self {
        Self { job, planned_for, era, attempt: 1, part: 0 }
    }

    /// The container's name, a lock that the engine keeps:
    /// `tender-<stack>-<slug>-<hash4>-<instant>[-e<era>][-a<attempt>][-p<part>]`, at most 63
    /// characters. A long stack name is cut and told apart by the hash, which covers it too.
    pub fn container_name(&self, stack: &str) -> String {
        let mut tail = format!("{}", self.planned_for.format("%Y%m%dT%H%M%SZ"));
        if self.era > 0 {
            tail.push_str(&format!("-e{}", self.era));
        }
        if self.attempt > 1 {
            tail.push_str(&format!("-a{}", self.attempt));
        }
        if self.part > 0 {
            tail.push_str(&format!("-p{}", self.part));
        }
        let hash = {
            use sha2::{Digest, Sha256};
            let digest = Sha256::digest(format!("{stack}\0{}", self.job).as_bytes());
            format!("{:02x}{:02x}", digest[0], digest[1])
        };
        // "tender-" + stack + "-" + slug + "-" + hash + "-" + tail
        let room = 63usize.saturating_sub("tender-".len() + 3 + hash.len() + tail.len());
        let slug = self.job.slug();
        let slug = cut(&slug, room.saturating_sub(stack.len().min(room / 2)));
        let stack = cut(stack, room - slug.len());
        format!("tender-{stack}-{slug}-{hash}-{tail}")
    }
}

fn cut(text: &str, length: usize) -> &str {
    let end = text.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= length).last();
    text[..end.unwrap_or(0)].trim_end_matches('-')
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.job, self.planned_for.format("%FT%TZ"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn names_read_well() {
        let mut occurrence = Occurrence::first(JobName::new("autodeploy").unwrap(), at(1_774_746_000), 0);
        assert_eq!(occurrence.container_name("birdhouse"), "tender-birdhouse-autodeploy-6e01-20260329T010000Z");
        occurrence.era = 2;
        occurrence.attempt = 3;
        occurrence.part = 4;
        assert_eq!(
            occurrence.container_name("birdhouse"),
            "tender-birdhouse-autodeploy-6e01-20260329T010000Z-e2-a3-p4"
        );
    }

    proptest! {
        #[test]
        fn names_fit_and_are_valid(job in "[a-zA-Z0-9 _.é-]{1,60}", stack in "[a-z0-9][a-z0-9_-]{0,80}", s in 0i64..4_000_000_000, era in 0u32..1000, attempt in 1u32..1000, part in 0u32..1000) {
            prop_assume!(!job.trim().is_empty());
            let occurrence = Occurrence { job: JobName::new(&job).unwrap(), planned_for: at(s), era, attempt, part };
            let name = occurrence.container_name(&stack);
            prop_assert!(name.len() <= 63, "{name}");
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)), "{name}");
        }
    }
}
