//! The self-update protocol: its journal. Who holds the lease reads it before anything else.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::journal::Journal;

/// The steps of a hand-over from generation g to g + 1. Before `Committed` either generation may
/// hold the lease; after it only g + 1 may, after `RolledBack` only g.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandoverStep {
    /// The old generation has said what is to come.
    Prepared,
    /// The new generation's container exists.
    Created,
    /// The old generation has given up the lease.
    Yielded,
    /// The new generation has the lease and works.
    Ready,
    /// The decision: the new generation stays.
    Committed,
    /// The decision: the old generation stays.
    RolledBack,
    /// All is tidied up.
    Done,
}

/// The state of a hand-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// Where it stands.
    pub step: HandoverStep,
    /// The old generation.
    pub generation: u64,
    /// Container of the old generation.
    pub old: String,
    /// Container of the new generation, once it exists.
    pub new: Option<String>,
    /// Id of the new image.
    pub image: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How often it was taken up.
    pub attempts: u32,
}

impl Handover {
    /// Whether a generation may hold the lease while this journal is what it is.
    pub const fn admits(&self, generation: u64) -> bool {
        match self.step {
            HandoverStep::Committed => generation > self.generation,
            HandoverStep::RolledBack => generation == self.generation,
            _ => true,
        }
    }
}

/// The journal of hand-overs below a state dir.
pub fn journal(state_dir: &Path) -> Journal<Handover> {
    Journal::at(state_dir.join("handover/journal.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_decides_who_may_hold_the_lease() {
        let at = |step| Handover {
            step,
            generation: 4,
            old: "o".into(),
            new: None,
            image: "i".into(),
            started_at: Utc::now(),
            attempts: 1,
        };
        for step in [
            HandoverStep::Prepared,
            HandoverStep::Created,
            HandoverStep::Yielded,
            HandoverStep::Ready,
            HandoverStep::Done,
        ] {
            assert!(at(step).admits(4) && at(step).admits(5));
        }
        assert!(!at(HandoverStep::Committed).admits(4) && at(HandoverStep::Committed).admits(5));
        assert!(at(HandoverStep::RolledBack).admits(4) && !at(HandoverStep::RolledBack).admits(5));
    }
}
