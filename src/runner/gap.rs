//! What became of the engine while nobody saw a container end: whose doing was the end?
//!
//! Asked only when an end was not seen with the engine in good health, so that an ordinary run
//! costs no call.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::judge::Known;
use crate::engine::{EngineError, EngineStart, Runs, Seen};

/// How long an engine may take to stop its containers: 10 s until they are killed, and as much again.
const STOPPING: TimeDelta = TimeDelta::seconds(30);

/// What the next process finds dead after a crash, without knowing how it died, and what it forgot
/// again, ended at most this long before the first container that it ended itself.
const SWEEPING: TimeDelta = TimeDelta::seconds(15);

/// What an engine gives as the code when it does not know it.
const NO_CODE: i64 = 255;

/// It remembers 256 events, four or five of each container that it stops: it may have forgotten
/// some of so many.
const MANY: usize = 40;

/// Containers that are looked at together.
const TOGETHER: usize = 8;

/// What is known of the engine's own life around an end that nobody saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// The same process has seen the container start and end: the end was its own, or somebody's.
    Same,
    /// Another process has begun since it was started.
    Another {
        /// It ended when the engine stopped or began, or so near that nobody can tell.
        interrupted: bool,
        /// The one before has crashed, and what was written then is lost.
        crashed: bool,
    },
    /// It does not tell.
    Unknown,
}

/// Gathers what is known of a container that was found ended.
pub(super) async fn known_later(engine: &impl Runs, seen: Option<&Seen>) -> Result<Known, EngineError> {
    let Some(seen) = seen else { return Ok(Known::Later(None, Engine::Unknown)) };
    Ok(Known::Later(seen.exit_code, engine_of(engine, seen).await?))
}

async fn engine_of(engine: &impl Runs, seen: &Seen) -> Result<Engine, EngineError> {
    Ok(engine_of_each(engine, std::slice::from_ref(seen)).await?.pop().unwrap_or(Engine::Unknown))
}

/// What is known around the end of each of these containers, in their order; asked once for all.
pub(super) async fn engine_of_each(engine: &impl Runs, all: &[Seen]) -> Result<Vec<Engine>, EngineError> {
    let begin = engine.begun().await?;
    let mut last = None;
    let mut found = Vec::with_capacity(all.len());
    for seen in all {
        let (Some(begin), Some(started), Some(finished)) = (&begin, seen.started_at, seen.finished_at) else {
            found.push(Engine::Unknown);
            continue;
        };
        let long_before = begin.at > started && begin.swept.is_empty() && finished + STOPPING < begin.at;
        if long_before && last.is_none() {
            last = Some(last_end(engine, begin.at).await?);
        }
        let last = last.flatten().filter(|_| long_before);
        found.push(place(seen, started, finished, begin, last));
    }
    Ok(found)
}

/// The last end of any container before an instant. When an engine stops in order, those that run end
/// last of all.
async fn last_end(engine: &impl Runs, before: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, EngineError> {
    let looks = stream::iter(engine.list(&[]).await?).map(|id| async move {
        match engine.look(&id).await {
            Err(error @ EngineError::Unavailable(_)) => Err(error),
            // A stranger that cannot be understood is not to stand in the way.
            answer => Ok(answer.ok().flatten()),
        }
    });
    let ends = looks
        .buffer_unordered(TOGETHER)
        .try_fold(None, |last: Option<DateTime<Utc>>, seen| async move {
            Ok(last.max(seen.and_then(|seen| seen.finished_at).filter(|at| *at < before)))
        })
        .await?;
    Ok(ends)
}

fn place(
    seen: &Seen,
    started: DateTime<Utc>,
    finished: DateTime<Utc>,
    begin: &EngineStart,
    last: Option<DateTime<Utc>>,
) -> Engine {
    if begin.at <= started {
        return Engine::Same;
    }
    let unknown = seen.exit_code == Some(NO_CODE);
    match begin.swept.values().min() {
        Some(first) => {
            let doubtful = unknown || begin.swept.len() >= MANY;
            let interrupted = begin.swept.contains_key(&seen.id) || doubtful && finished + SWEEPING >= *first;
            Engine::Another { interrupted, crashed: true }
        }
        None => {
            let interrupted = finished + STOPPING >= last.unwrap_or(begin.at);
            Engine::Another { interrupted, crashed: interrupted && unknown }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Life;
    use crate::engine::fake::{Fake, Script};
    use crate::job::ContainerSpec;

    const INTERRUPTED: Engine = Engine::Another { interrupted: true, crashed: false };
    const BY_A_CRASH: Engine = Engine::Another { interrupted: true, crashed: true };
    const BY_ITSELF: Engine = Engine::Another { interrupted: false, crashed: false };
    const BEFORE_A_CRASH: Engine = Engine::Another { interrupted: false, crashed: true };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_774_746_000 + seconds, 0).unwrap()
    }

    #[test]
    fn whose_doing() {
        // The container ran from 0 on. Its end; code; when the engine began, with others swept at,
        // itself swept, the last end of any container before.
        for (end, code, begun, others, itself, last, expected) in [
            // The engine lives still: killed by hand, or ended by itself.
            (5, 137, -100, None, false, None, Engine::Same),
            (5, 0, 0, None, false, None, Engine::Same),
            (5, 137, -100, Some(-101), false, None, Engine::Same),
            // An orderly stop, and a start right after it, or on the next day.
            (5, 143, 8, None, false, None, INTERRUPTED),
            (5, 0, 8, None, false, None, INTERRUPTED),
            (5, 3, 8, None, false, None, INTERRUPTED),
            (5, 143, 86_400, None, false, Some(15), INTERRUPTED),
            (5, 0, 86_400, None, false, Some(5), INTERRUPTED),
            // It had ended long before.
            (5, 0, 86_400, None, false, Some(100), BY_ITSELF),
            (5, 137, 86_400, None, false, Some(100), BY_ITSELF),
            (5, 255, 86_400, None, false, Some(100), BY_ITSELF),
            // A crash: the next process ended it, ...
            (5, 137, 8, None, true, None, BY_A_CRASH),
            (5, 0, 8, Some(6), true, None, BY_A_CRASH),
            // ... or found it dead, ...
            (5, 255, 8, Some(6), false, None, BY_A_CRASH),
            (5, 255, 8, None, false, None, BY_A_CRASH),
            // It ended by itself while the engine was away, or before.
            (5, 0, 20, Some(6), false, None, BEFORE_A_CRASH),
            (5, 255, 70, Some(60), false, None, BEFORE_A_CRASH),
            (5, 137, 70, Some(60), false, None, BEFORE_A_CRASH),
        ] {
            let mut seen = super::super::labels::tests::seen(Life::Exited, &ContainerSpec::default());
            seen.exit_code = Some(code);
            let others = others.map(|ended| ("another".to_owned(), at(ended)));
            let swept = others.into_iter().chain(itself.then(|| (seen.id.clone(), at(end)))).collect();
            let begin = EngineStart { at: at(begun), swept };
            let found = place(&seen, at(0), at(end), &begin, last.map(at));
            assert_eq!(found, expected, "ended at {end} with {code}, the engine began at {begun}");
        }
    }

    #[test]
    fn of_many_that_it_ended_an_engine_may_have_forgotten_some() {
        let seen = super::super::labels::tests::seen(Life::Exited, &ContainerSpec::default());
        let of =
            |count: usize| EngineStart { at: at(20), swept: (0..count).map(|n| (n.to_string(), at(14))).collect() };
        assert_eq!(place(&seen, at(0), at(5), &of(MANY), None), BY_A_CRASH);
        assert_eq!(place(&seen, at(0), at(5), &of(MANY - 1), None), BEFORE_A_CRASH);
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_before_the_last_ends_is_told_by_the_others() {
        let fake = Fake::new();
        fake.image("a");
        let spec = ContainerSpec { image: "a".to_owned(), ..ContainerSpec::default() };
        fake.script("job", Script::exits(0));
        fake.script("killed", Script::forever());
        for name in ["job", "killed"] {
            fake.create(name, &spec).await.unwrap();
            fake.start(name).await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_secs(100)).await;
        fake.engine_restart();
        tokio::time::sleep(std::time::Duration::from_secs(100)).await;
        for (name, expected) in [("job", BY_ITSELF), ("killed", INTERRUPTED)] {
            let seen = fake.look(name).await.unwrap().unwrap();
            // As if the engine had come back much later.
            let mut begin = fake.begun().await.unwrap().unwrap();
            begin.at += TimeDelta::seconds(99);
            fake.fail_next("look", EngineError::Protocol("a stranger".to_owned()));
            let last = last_end(&fake, begin.at).await.unwrap();
            let (started, finished) = (seen.started_at.unwrap(), seen.finished_at.unwrap());
            assert_eq!(place(&seen, started, finished, &begin, last), expected, "{name}");
        }
    }
}
