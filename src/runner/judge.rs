//! How a run has ended: from its row, the exit code, what `inspect` says, and what became of the
//! engine meanwhile. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::gap::Engine;
use crate::engine::Seen;
use crate::run::{Outcome, State, StopReason};

/// Exit codes that containers get when the engine stops, or comes back after a crash. A guess, for
/// an engine that does not tell of its own life.
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

/// An answer that took longer may be that of the next process: a call that comes while an engine
/// stops may be kept for the one that it starts (socket activation).
const PROMPT: Duration = Duration::from_secs(1);

/// A code that was seen live, where the answer to a look since then is proof of it. Without a
/// container nobody could say more.
pub(super) fn proven(code: Option<i64>, seen: Option<&Seen>, took: Duration) -> Option<i64> {
    code.filter(|_| seen.is_none() || took <= PROMPT)
}

/// How the end of a container became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// This process saw it end with this code, and the engine answered after that. So it was not
    /// stopping: then it tells of the ends that it causes, but takes no further call.
    Live(i64),
    /// It was found ended, with this code if it has one.
    Later(Option<i64>, Engine),
}

/// Judges a run whose container has ended.
pub(super) fn judge(state: &State, known: Known, seen: Option<&Seen>) -> Ending {
    let (code, engine) = match known {
        Known::Live(code) => (Some(code), Engine::Same),
        Known::Later(code, engine) => (code, engine),
    };
    let Some(last) = code else {
        return Ending { note: Some("its output is lost".to_owned()), ..Ending::without_container(Outcome::Lost) };
    };
    let oom = seen.is_some_and(|seen| seen.oom);
    let outcome = match state {
        // The reason for the stop decides, not the code of the signal.
        State::Stopping { why: StopReason::Timeout, .. } => Outcome::TimedOut,
        State::Stopping { why: StopReason::Cancel, .. } => Outcome::Cancelled,
        State::Stopping { why: StopReason::OutputLimit, .. } => Outcome::Failed { code: last, oom },
        _ if !oom && by_the_engine(engine, last) => Outcome::Interrupted { code: last },
        _ if last == 0 => Outcome::Succeeded,
        _ => Outcome::Failed { code: last, oom },
    };
    let lossy = match engine {
        Engine::Same => false,
        Engine::Another { crashed, .. } => crashed,
        Engine::Unknown => matches!(outcome, Outcome::Interrupted { .. }),
    };
    let note = lossy.then(|| "output incomplete: the engine crashed and may have lost the last lines".to_owned());
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

/// Whether the engine took the container away. What it stops may end with any code, 0 included.
fn by_the_engine(engine: Engine, code: i64) -> bool {
    match engine {
        Engine::Same => false,
        Engine::Another { interrupted, .. } => interrupted,
        Engine::Unknown => BY_THE_ENGINE.contains(&code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Life;
    use crate::job::ContainerSpec;

    #[test]
    fn a_late_answer_proves_nothing() {
        let seen = super::super::labels::tests::seen(Life::Exited, &ContainerSpec::default());
        assert_eq!(proven(Some(143), Some(&seen), PROMPT), Some(143));
        assert_eq!(proven(Some(143), Some(&seen), PROMPT * 2), None);
        assert_eq!(proven(Some(143), None, PROMPT * 2), Some(143));
        assert_eq!(proven(None, Some(&seen), PROMPT), None);
    }

    #[test]
    fn outcomes() {
        let running = State::Running { container: "c".to_owned(), deadline: None };
        let stopping = |why| State::Stopping { container: "c".to_owned(), why, kill_at: DateTime::UNIX_EPOCH };
        let later = |code, engine| Known::Later(Some(code), engine);
        let another = |interrupted, crashed| Engine::Another { interrupted, crashed };
        let live = Known::Live;
        for (state, known, oom, expected, incomplete) in [
            (&running, live(0), false, "succeeded", false),
            (&running, live(3), false, "failed(3)", false),
            (&running, live(137), true, "failed(137, out of memory)", false),
            (&running, live(137), false, "failed(137)", false),
            (&running, later(0, Engine::Same), false, "succeeded", false),
            (&running, later(3, Engine::Same), false, "failed(3)", false),
            // `docker kill` while no scheduler was there.
            (&running, later(137, Engine::Same), false, "failed(137)", false),
            (&running, later(137, Engine::Same), true, "failed(137, out of memory)", false),
            (&running, later(143, another(true, false)), false, "interrupted(143)", false),
            (&running, later(137, another(true, true)), false, "interrupted(137)", true),
            // It took the signal of the engine and ended in peace.
            (&running, later(0, another(true, false)), false, "interrupted(0)", false),
            (&running, later(3, another(true, false)), false, "interrupted(3)", false),
            (&running, later(137, another(true, false)), true, "failed(137, out of memory)", false),
            (&running, later(0, another(false, false)), false, "succeeded", false),
            (&running, later(137, another(false, false)), false, "failed(137)", false),
            (&running, later(3, another(false, true)), false, "failed(3)", true),
            (&running, later(0, Engine::Unknown), false, "succeeded", false),
            (&running, later(3, Engine::Unknown), false, "failed(3)", false),
            (&running, later(137, Engine::Unknown), false, "interrupted(137)", true),
            (&running, Known::Later(None, Engine::Unknown), false, "lost", true),
            (&stopping(StopReason::Timeout), live(143), false, "timed out", false),
            (&stopping(StopReason::Timeout), later(137, another(true, false)), false, "timed out", false),
            (&stopping(StopReason::Cancel), live(0), false, "cancelled", false),
            (&stopping(StopReason::OutputLimit), live(143), false, "failed(143)", false),
        ] {
            let mut seen = super::super::labels::tests::seen(Life::Exited, &ContainerSpec::default());
            seen.oom = oom;
            let ending = judge(state, known, Some(&seen));
            assert_eq!(ending.outcome.to_string(), expected, "{state:?} {known:?}");
            assert_eq!(ending.note.is_some(), incomplete, "{state:?} {known:?}: {:?}", ending.note);
        }
    }
}
