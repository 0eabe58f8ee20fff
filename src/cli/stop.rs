//! `tender stop`: the end of a run on request.

use serde_json::json;

use super::args::Stop;
use super::context::Context;
use super::failure::{Failure, nearest};
use super::{exit, out, run};
use crate::run::{Outcome, Stopping};
use crate::web::{CallError, StopRequest};

/// `tender stop`: 0 when its end was asked for, or with `--wait` has come, however it came.
pub(super) async fn stop(context: &Context, args: &Stop) -> anyhow::Result<u8> {
    let client = context.scheduler()?;
    let stopping = match client.stop(&StopRequest { what: args.what.clone() }).await {
        Ok(stopping) => stopping,
        Err(CallError::Unknown(why)) => {
            let snapshot = client.status().await?;
            let near = nearest(&args.what, snapshot.jobs.iter().map(|job| job.name.as_str()));
            return Err(Failure::usage(format!("{why}{}", near.unwrap_or_default())));
        }
        Err(error) => return Err(error.into()),
    };
    if args.wait && stopping.gentle && !stopping.waited {
        out::remark("tender: a deploy is never killed: it ends when everything stands as before, or as after it");
    }
    let outcome = if args.wait {
        run::ended(&client, &stopping.id).await?.outcome
    } else {
        stopping.waited.then_some(Outcome::Cancelled)
    };
    if args.form.json {
        let word = outcome.as_ref().map(Outcome::word);
        context
            .out
            .json(&json!({"id": stopping.id, "job": stopping.job, "waited": stopping.waited, "outcome": word}))?;
    } else {
        context.out.line(sentence(&stopping, outcome.as_ref()))?;
    }
    Ok(exit::DONE)
}

fn sentence(stopping: &Stopping, outcome: Option<&Outcome>) -> String {
    let Stopping { id, job, .. } = stopping;
    match outcome {
        _ if stopping.waited => format!("run {id} of {job} waited, and never begins"),
        None if stopping.gentle => format!("run {id} of {job} was asked to stop; it takes the time that it needs"),
        None => format!("run {id} of {job} is being stopped"),
        Some(Outcome::Cancelled) => format!("run {id} of {job} was stopped"),
        Some(outcome) => format!("run {id} of {job} ended by itself: {outcome}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobName;
    use crate::run::RunId;

    #[test]
    fn what_becomes_of_it() {
        let stopping = |waited, gentle| Stopping {
            id: RunId("0123456789ab".to_owned()),
            job: JobName::new("backup").unwrap(),
            waited,
            gentle,
        };
        for (waited, gentle, outcome, said) in [
            (true, false, Some(Outcome::Cancelled), "waited, and never begins"),
            (false, false, None, "is being stopped"),
            (false, true, None, "was asked to stop; it takes the time that it needs"),
            (false, false, Some(Outcome::Cancelled), "was stopped"),
            (false, false, Some(Outcome::Succeeded), "ended by itself: succeeded"),
        ] {
            let sentence = sentence(&stopping(waited, gentle), outcome.as_ref());
            assert_eq!(sentence, format!("run 0123456789ab of backup {said}"));
        }
    }
}
