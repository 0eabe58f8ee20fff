//! What a run whose command ran in another container has come to, beyond what its own tells.

use super::judge::Ending;
use super::perform::{Order, Run};
use super::shelf::Shelf;
use super::word::{LastWord, is_ambiguous};
use crate::run::{Outcome, RunId, State};

/// The ending of a run whose container has ended. A holder that was killed knows of no end; one
/// that could not begin, or lost sight of its command, has said so with its last word.
pub(super) async fn heard(shelf: &Shelf, run: &Run<'_>, ending: Ending) -> Ending {
    let Outcome::Failed { code, oom } = ending.outcome else { return ending };
    if !run.order.held || !is_ambiguous(code) || matches!(run.record.state, State::Stopping { .. }) {
        return ending;
    }
    let word = read(shelf.clone(), run.record.id.clone()).await;
    Ending { outcome: meant(code, oom, word), ..ending }
}

fn meant(code: i64, oom: bool, word: Option<LastWord>) -> Outcome {
    match word {
        Some(LastWord::NotStarted(why)) => Outcome::CouldNotStart(why),
        Some(LastWord::Ended(said)) if said == code => Outcome::Failed { code, oom },
        // Killed, or cut off from its command: what it has said of that is in its output.
        Some(LastWord::Lost(_) | LastWord::Ended(_)) | None => Outcome::Lost,
    }
}

/// It may be a long way through the output.
async fn read(shelf: Shelf, run: RunId) -> Option<LastWord> {
    let read =
        tokio::task::spawn_blocking(move || shelf.read(&run)?.map_or(Ok(None), |mut out| LastWord::read(&mut out)));
    match read.await {
        Ok(Ok(word)) => word,
        Ok(Err(error)) => {
            tracing::warn!("the last word of a holder cannot be read: {error:#}");
            None
        }
        Err(_) => None,
    }
}

/// What a person should know when such a run is lost.
pub(super) fn loss(state: &State, order: &Order, outcome: &Outcome) -> Option<String> {
    let what = match (outcome, state) {
        (Outcome::Lost, State::Direct { .. }) => "the scheduler that followed it ended",
        (Outcome::Lost, _) if order.held => "its holder is gone",
        _ => return None,
    };
    Some(format!("output incomplete: {what}; the command may go on in the container where it was executed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_decide_where_codes_cannot() {
        let not_started = || Some(LastWord::NotStarted("no web".to_owned()));
        for (code, word, expected) in [
            (137, Some(LastWord::Ended(137)), "failed(137)"),
            (125, Some(LastWord::Ended(125)), "failed(125)"),
            (125, not_started(), "could not start(no web)"),
            (125, Some(LastWord::Lost("gone".to_owned())), "lost"),
            (137, Some(LastWord::Ended(125)), "lost"),
            (137, None, "lost"),
        ] {
            assert_eq!(meant(code, false, word.clone()).to_string(), expected, "{code} {word:?}");
        }
    }
}
