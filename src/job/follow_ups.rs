//! What is done after the main action of a job, and in which order.

use serde::{Deserialize, Serialize};

use super::Action;

/// Further actions of a job. They run one by one after its last attempt, as parts of the same run.
///
/// Where an action of `on_success` or `on_failure` fails, the rest of its list is left out; a
/// failure in `on_success` makes the run a failed one. `always` runs to its end whatever happens.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FollowUps {
    /// After a success (legacy `trigger`).
    pub on_success: Vec<Action>,
    /// After a failure: an exit code, a timeout, a container that could not start or was lost.
    pub on_failure: Vec<Action>,
    /// In any case, a cancelled run included.
    pub always: Vec<Action>,
}

/// How a part has ended, as far as the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Well,
    /// Not well, and there is no further attempt.
    Badly,
    /// A person ended it.
    Cancelled,
}

/// First part of each list. The number tells the list by itself, so that a job that is defined anew
/// during its run never gets an action of another list.
const ON_SUCCESS: u32 = 1;
const ON_FAILURE: u32 = ON_SUCCESS + FollowUps::MOST;
const ALWAYS: u32 = ON_FAILURE + FollowUps::MOST;

impl FollowUps {
    /// How many actions a list may have.
    pub const MOST: u32 = 100;

    /// The action of a part; `None` for the main action and for what there is not.
    pub fn get(&self, part: u32) -> Option<&Action> {
        let (list, first) = match part {
            ALWAYS.. => (&self.always, ALWAYS),
            ON_FAILURE.. => (&self.on_failure, ON_FAILURE),
            _ => (&self.on_success, ON_SUCCESS),
        };
        list.get(usize::try_from(part.checked_sub(first)?).ok()?)
    }

    /// The part that comes after this one (0 is the main action).
    pub fn after(&self, part: u32, ended: Ended) -> Option<u32> {
        let then = match (part, ended) {
            (ALWAYS.., _) => return self.here(part + 1),
            (_, Ended::Cancelled) | (ON_FAILURE.., Ended::Badly) => None,
            (_, Ended::Badly) => self.here(ON_FAILURE),
            // The last part of a list is never followed by the first of the next one.
            (_, Ended::Well) if (part + 1) % Self::MOST == ON_SUCCESS && part > 0 => None,
            (_, Ended::Well) => self.here(part + 1),
        };
        then.or_else(|| self.here(ALWAYS))
    }

    /// All lists, each with its key in JSON documents.
    pub const fn lists(&self) -> [(&'static str, &Vec<Action>); 3] {
        [("after_success", &self.on_success), ("on_failure", &self.on_failure), ("always", &self.always)]
    }

    fn here(&self, part: u32) -> Option<u32> {
        self.get(part).map(|_| part)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Builtin;
    use super::Ended::{Badly, Cancelled, Well};
    use super::*;

    fn of(counts: [usize; 3]) -> FollowUps {
        let [on_success, on_failure, always] = counts.map(|n| vec![Action::Builtin(Builtin::Logrotate); n]);
        FollowUps { on_success, on_failure, always }
    }

    /// The parts that follow when each ends as said, the main action first.
    fn parts(counts: [usize; 3], ends: &[Ended]) -> Vec<u32> {
        let (follow_ups, mut part, mut parts) = (of(counts), 0, Vec::new());
        for ended in ends.iter().chain(std::iter::repeat_n(&Well, 500)) {
            match follow_ups.after(part, *ended) {
                Some(next) => part = next,
                None => break,
            }
            parts.push(part);
        }
        parts
    }

    #[test]
    fn each_end_has_its_list_and_always_comes_last() {
        let all = [2, 2, 2];
        for (counts, ends, expected) in [
            (all, vec![Well], vec![1, 2, 201, 202]),
            (all, vec![Badly], vec![101, 102, 201, 202]),
            (all, vec![Cancelled], vec![201, 202]),
            (all, vec![Well, Badly], vec![1, 101, 102, 201, 202]),
            (all, vec![Well, Cancelled], vec![1, 201, 202]),
            (all, vec![Badly, Badly], vec![101, 201, 202]),
            (all, vec![Well, Well, Well, Badly], vec![1, 2, 201, 202]),
            (all, vec![Cancelled, Cancelled], vec![201, 202]),
            ([0, 0, 1], vec![Badly], vec![201]),
            ([1, 0, 0], vec![Badly], vec![]),
            ([0, 1, 0], vec![Well], vec![]),
            ([0, 0, 0], vec![Badly], vec![]),
        ] {
            assert_eq!(parts(counts, &ends), expected, "{counts:?} {ends:?}");
        }
    }

    #[test]
    fn full_lists_never_run_into_each_other() {
        let full = [FollowUps::MOST as usize; 3];
        let expected: Vec<u32> = (1..=100).chain(201..=300).collect();
        assert_eq!(parts(full, &[]), expected);
        let expected: Vec<u32> = (101..=300).collect();
        assert_eq!(parts(full, &[Badly]), expected);
    }
}
