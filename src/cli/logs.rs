//! `tender logs`: the log of a job, or the output of one run.

use std::path::Path;

use super::args::Logs;
use super::context::Context;
use super::control::no_job;
use super::failure::Failure;
use super::output::Output;
use super::tail::{Changes, Tail};
use super::{exit, history, load, out};
use crate::run::RunId;

/// `tender logs`.
pub(super) async fn logs(context: &Context, args: &Logs) -> anyhow::Result<u8> {
    if let Some(id) = run_id(&args.what)
        && history::run(context, &id).is_ok_and(|row| row.is_some())
    {
        return of_run(context, args, &id).await;
    }
    let loaded = load::loaded(context).await?;
    let Some(job) = loaded.job(&args.what) else {
        let known = loaded.jobs.iter().map(|job| job.name.as_str());
        return Err(Failure::usage(no_job(&args.what, known)));
    };
    of_job(context, args, &loaded.settings.log_dir.join(&job.log_file)).await
}

fn run_id(text: &str) -> Option<RunId> {
    (text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| RunId(text.to_owned()))
}

async fn of_job(context: &Context, args: &Logs, path: &Path) -> anyhow::Result<u8> {
    let mut tail = Tail::of(path);
    let mut changes = Changes::of(path.parent().unwrap_or(Path::new(".")));
    if !tail.exists() {
        out::remark(format!("tender: {} is not there yet; the job has written nothing", path.display()));
    }
    if let Some(lines) = args.lines {
        tail.skip_to_last(lines)?;
    }
    let mut sink = |bytes: &[u8]| context.out.bytes(bytes);
    tail.read(&mut sink)?;
    if !args.follow {
        return Ok(exit::DONE);
    }
    loop {
        changes.next().await;
        tail.read(&mut sink)?;
    }
}

/// The output of a run; followed until the run has ended.
async fn of_run(context: &Context, args: &Logs, id: &RunId) -> anyhow::Result<u8> {
    let mut output = Output::of(&context.state_dir(), id);
    if let Some(lines) = args.lines {
        output.skip_to_last(lines)?;
    }
    let mut changes = Changes::of(output.folder());
    loop {
        // Asked before the output is read: what is read after the end is all of it.
        let ended = history::run(context, id)?.is_none_or(|row| row.outcome().is_some());
        output.read(&mut |channel, bytes| context.out.piece(channel, bytes))?;
        if ended || !args.follow {
            return Ok(exit::DONE);
        }
        changes.next().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_told_from_a_job() {
        assert!(run_id("0123456789ab").is_some());
        for job in ["autodeploy", "0123456789a", "0123456789abc", "0123456789ag"] {
            assert!(run_id(job).is_none(), "{job}");
        }
    }
}
