//! How a run has ended: from its row, the exit code and what `inspect` says. Pure.

use chrono::{DateTime, Utc};

use crate::engine::Seen;
use crate::run::{Outcome, State, StopReason};

/// Exit codes that containers get when the engine stops, or comes back after a crash.
const BY_THE_ENGINE: [i64; 3] = [137, 143, 255];

/// The end of a run, before it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) code: Option<i64>,
    pub(super) image: Option<String>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    /// What may be missing from the output.
    pub(super) note: Option<String>,
    /// The container to remove when all this is durable.
    pub(super) container: Option<String>,
}

impl Ending {
    /// Of a run without a container, or of one whose container says nothing.
    pub(super) const fn without_container(outcome: Outcome) -> Self {
        Self { outcome, code: None, image: None, started_at: None, finished_at: None, note: None, container: None }
    }
}

/// Judges a run whose container has ended. `code` is the exit code if this process has seen it
/// end; without it the container ended while nobody could look.
pub(super) fn judge(state: &State, code: Option<i64>, seen: Option<&Seen>) -> Ending {
    let Some(last) = code.or_else(|| seen.and_then(|seen| seen.exit_code)) else {
        return Ending { note: Some("its output is lost".to_owned()), ..Ending::without_container(Outcome::Lost) };
    };
    let oom = seen.is_some_and(|seen| seen.oom);
    let outcome = match state {
        // The reason for the stop decides, not the code of the signal.
        State::Stopping { why: StopReason::Timeout, .. } => Outcome::TimedOut,
        State::Stopping { why: StopReason::Cancel, .. } => Outcome::Cancelled,
        State::Stopping { why: StopReason::OutputLimit, .. } => Outcome::Failed { code: last, oom },
        _ if last == 0 => Outcome::Succeeded,
        _ if code.is_none() && !oom && BY_THE_ENGINE.contains(&last) => Outcome::Interrupted { code: last },
        _ => Outcome::Failed { code: last, oom },
    };
    // After an orderly stop of the engine the last lines are there; after a crash they may not be.
    let note = matches!(outcome, Outcome::Interrupted { code } if code != 143)
        .then(|| "output incomplete: the engine may have lost the last lines".to_owned());
    Ending {
        outcome,
        code: Some(last),
        image: seen.map(|seen| seen.image.clone()),
        started_at: seen.and_then(|seen| seen.started_at),
        finished_at: seen.and_then(|seen| seen.finished_at),
        note,
        container: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Life;
    use crate::job::ContainerSpec;

    #[test]
    fn outcomes() {
        let running = State::Running { container: "c".to_owned(), deadline: None };
        let stopping = |why| State::Stopping { container: "c".to_owned(), why, kill_at: DateTime::UNIX_EPOCH };
        // state, the code seen live, the code by inspect, out of memory
        for (state, live, later, oom, expected) in [
            (running.clone(), Some(0), Some(0), false, "succeeded"),
            (running.clone(), None, Some(0), false, "succeeded"),
            (running.clone(), Some(3), Some(3), false, "failed(3)"),
            (running.clone(), None, Some(3), false, "failed(3)"),
            (running.clone(), Some(3), None, false, "failed(3)"),
            (running.clone(), Some(137), Some(137), true, "failed(137, out of memory)"),
            (running.clone(), None, Some(137), true, "failed(137, out of memory)"),
            (running.clone(), Some(137), Some(137), false, "failed(137)"),
            (running.clone(), None, Some(137), false, "interrupted(137)"),
            (running.clone(), None, Some(143), false, "interrupted(143)"),
            (running, None, None, false, "lost"),
            (stopping(StopReason::Timeout), Some(143), Some(143), false, "timed out"),
            (stopping(StopReason::Timeout), None, Some(137), false, "timed out"),
            (stopping(StopReason::Cancel), Some(0), Some(0), false, "cancelled"),
            (stopping(StopReason::OutputLimit), Some(143), Some(143), false, "failed(143)"),
        ] {
            let mut seen = super::super::labels::tests::seen(Life::Exited, &ContainerSpec::default());
            (seen.exit_code, seen.oom) = (later, oom);
            let seen = later.map(|_| seen);
            let ending = judge(&state, live, seen.as_ref());
            assert_eq!(ending.outcome.to_string(), expected, "{state:?} {live:?} {later:?}");
        }
    }
}
