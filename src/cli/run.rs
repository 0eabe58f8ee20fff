//! `tender run`: a job now.

use std::time::Duration;

use tokio::time::Instant;

use super::args::Run;
use super::context::Context;
use super::control::no_job;
use super::failure::Failure;
use super::output::Output;
use super::tail::Changes;
use super::{dry_run, exit, out};
use crate::job::JobName;
use crate::run::{Outcome, RunId};
use crate::web::{CallError, Client, RunReply, RunRequest};

/// How long the scheduler may be away while a run is waited for: it may be replacing itself.
const ABSENCE: Duration = Duration::from_secs(120);
const ABSENCE_LOOK: Duration = Duration::from_millis(500);

/// `tender run`.
pub(super) async fn run(context: &Context, args: &Run) -> anyhow::Result<u8> {
    if args.dry_run {
        return dry_run::dry_run(context, &args.job, &args.env).await;
    }
    let client = context.scheduler()?;
    let snapshot = client.status().await?;
    let Some(job) = snapshot.jobs.iter().find(|job| job.name.as_str() == args.job) else {
        return Err(Failure::usage(no_job(&args.job, snapshot.jobs.iter().map(|job| job.name.as_str()))));
    };
    let id = start(&client, &job.name, args).await?;
    if !args.wait {
        // It runs whatever becomes of this question.
        let waiting = client.look(&id).await.ok().and_then(|reply| reply.waiting);
        if args.form.json {
            context.out.json(&serde_json::json!({"id": id, "job": job.name, "waiting": waiting}))?;
        } else {
            context.out.line(&id)?;
            if let Some(why) = waiting {
                out::remark(format!("tender: the run waits: {why}"));
            }
        }
        return Ok(exit::DONE);
    }
    let end = follow(context, &client, &id).await?;
    Ok(code(&end))
}

async fn start(client: &Client, job: &JobName, args: &Run) -> Result<RunId, CallError> {
    let env = args.env.iter().cloned().collect();
    client.run(&RunRequest { job: job.clone(), env }).await
}

/// Shows the output as it comes, until the run has ended.
async fn follow(context: &Context, client: &Client, id: &RunId) -> anyhow::Result<RunReply> {
    let mut output = Output::of(&context.state_dir(), id);
    let mut changes = Changes::of(output.folder());
    let show = |output: &mut Output| output.read(&mut |channel, bytes| context.out.piece(channel, bytes));
    let mut end = std::pin::pin!(ended(client, id));
    loop {
        tokio::select! {
            end = &mut end => {
                show(&mut output)?;
                return Ok(end?);
            }
            () = changes.next() => show(&mut output)?,
        }
    }
}

/// Waits for the end, through an absence of the scheduler that is no longer than a hand-over.
pub(super) async fn ended(client: &Client, id: &RunId) -> Result<RunReply, CallError> {
    let mut seen = Instant::now();
    let mut said = None;
    loop {
        match client.wait(id).await {
            Ok(reply) if reply.outcome.is_some() => return Ok(reply),
            Ok(reply) => {
                seen = Instant::now();
                if reply.waiting.is_some() && reply.waiting != said {
                    out::remark(format!("tender: the run waits: {}", reply.waiting.clone().unwrap_or_default()));
                    said = reply.waiting;
                }
            }
            Err(CallError::Absent(_) | CallError::Broken(_)) if seen.elapsed() < ABSENCE => {
                tokio::time::sleep(ABSENCE_LOOK).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The job's own code; 1 where it has none, said in words.
fn code(end: &RunReply) -> u8 {
    match &end.outcome {
        Some(Outcome::Succeeded) => exit::DONE,
        Some(Outcome::Failed { code, .. }) => {
            u8::try_from(*code).ok().filter(|code| *code != 0).unwrap_or(exit::FAILED)
        }
        Some(other) => {
            out::remark(format!("tender: the run ended: {other}"));
            exit::FAILED
        }
        None => exit::FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::SkipReason;

    #[test]
    fn the_exit_code_is_the_jobs_own() {
        for (outcome, want) in [
            (Outcome::Succeeded, 0),
            (Outcome::Failed { code: 7, oom: false }, 7),
            (Outcome::Failed { code: 137, oom: true }, 137),
            (Outcome::Failed { code: 256, oom: false }, 1),
            (Outcome::TimedOut, 1),
            (Outcome::Skipped(SkipReason::Overlap), 1),
            (Outcome::CouldNotStart("no image".into()), 1),
            (Outcome::Lost, 1),
        ] {
            let reply =
                RunReply { state: "finished".into(), waiting: None, outcome: Some(outcome.clone()), exit_code: None };
            assert_eq!(code(&reply), want, "{outcome}");
        }
    }
}
