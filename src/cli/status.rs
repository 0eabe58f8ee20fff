//! `tender status` and `tender health`: how the scheduler is.

use super::args::Form;
use super::context::Context;
use super::exit;
use crate::run::{Health, RunStatus, Snapshot};
use crate::web::CallError;

/// `tender status`.
pub(super) async fn status(context: &Context, args: &Form) -> anyhow::Result<u8> {
    let snapshot = context.scheduler()?.status().await?;
    let out = context.out;
    if args.json {
        out.json(&snapshot)?;
        return Ok(exit::DONE);
    }
    let sentence = sentence(&snapshot);
    out.line(match snapshot.health {
        Health::Ok => out.good(&sentence),
        Health::Degraded => out.doubtful(&sentence),
        Health::Failing => out.bad(&sentence),
    })?;
    for reason in &snapshot.reasons {
        out.line(format!("\n{}: {}", reason.code, reason.what))?;
        out.line(format!("  since {}; next: {}", reason.since.format("%F %TZ"), reason.next))?;
        out.line(format!("  you can: {}", reason.command))?;
    }
    if !snapshot.refused.is_empty() {
        out.line("\nRefused of the configuration:")?;
        for refused in &snapshot.refused {
            out.line(format!("  {refused}"))?;
        }
    }
    let under_way: Vec<&RunStatus> = snapshot.running.iter().chain(&snapshot.waiting).collect();
    if !under_way.is_empty() {
        out.line("")?;
        out.table(["run", "job", "state", "since"], under_way.into_iter().map(row))?;
    }
    if !snapshot.jobs.is_empty() {
        out.line("")?;
        out.table(
            ["job", "schedule", "next", "last"],
            snapshot.jobs.iter().map(|job| {
                let next = if job.enabled { job.next.clone().unwrap_or_else(|| "-".into()) } else { "disabled".into() };
                let last = match (&job.last_outcome, job.last_finished_at) {
                    (Some(outcome), Some(at)) => format!("{outcome} at {}", at.format("%F %TZ")),
                    (Some(outcome), None) => outcome.clone(),
                    (None, _) => "-".to_owned(),
                };
                [job.name.to_string(), job.schedule.clone(), next, last]
            }),
        )?;
    }
    Ok(exit::DONE)
}

fn row(run: &RunStatus) -> [String; 4] {
    let state = match &run.waiting {
        Some(waiting) => format!("waits: {waiting}"),
        None => run.state.clone(),
    };
    let since = run.started_at.unwrap_or(run.planned_for);
    [run.id.to_string(), run.job.to_string(), state, since.format("%F %TZ").to_string()]
}

/// The one sentence that `status` begins with.
fn sentence(snapshot: &Snapshot) -> String {
    let mut parts = vec![match snapshot.jobs.len() {
        0 => "no job is defined".to_owned(),
        1 => "1 job".to_owned(),
        n => format!("{n} jobs"),
    }];
    for (runs, what) in [(&snapshot.running, "running"), (&snapshot.waiting, "waiting")] {
        match runs.as_slice() {
            [] => {}
            [run] => parts.push(format!("{} is {what}", run.job)),
            runs => parts.push(format!("{} are {what}", runs.len())),
        }
    }
    if let Some((job, at)) = next_job(snapshot) {
        parts.push(format!("next is {job} at {at}"));
    }
    let state = parts.join(", ");
    let (word, empty) = match snapshot.health {
        Health::Ok => return format!("All is well: {state}."),
        Health::Degraded => ("Something needs you", "no reason is known"),
        Health::Failing => ("The scheduler cannot do its work", "no reason is known"),
    };
    let what = snapshot.reasons.first().map_or(empty, |reason| reason.what.trim_end_matches('.'));
    let more = match snapshot.reasons.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    format!("{word}: {what}{more}; {state}.")
}

/// The job that is due first. Offsets differ between jobs, so that instants are compared, not texts.
fn next_job(snapshot: &Snapshot) -> Option<(&str, &str)> {
    snapshot
        .jobs
        .iter()
        .filter_map(|job| {
            let text = job.next.as_deref()?;
            Some((chrono::DateTime::parse_from_rfc3339(text).ok()?, job.name.as_str(), text))
        })
        .min_by_key(|(at, _, _)| *at)
        .map(|(_, name, text)| (name, text))
}

/// `tender health`: 0 for ok and degraded, 1 for failing and for no answer.
pub(super) async fn health(context: &Context, args: &Form) -> anyhow::Result<u8> {
    let reply = match context.scheduler()?.health().await {
        Ok(reply) => reply,
        Err(error @ CallError::Absent(_)) => {
            super::out::remark(format!("tender: {error}"));
            return Ok(exit::FAILED);
        }
        Err(error) => return Err(error.into()),
    };
    if args.json {
        context.out.json(&reply)?;
    } else {
        let word = match reply.health {
            Health::Ok => "ok",
            Health::Degraded => "degraded",
            Health::Failing => "failing",
        };
        let reasons: Vec<&str> = reply.reasons.iter().map(|reason| reason.what.as_str()).collect();
        context.out.line(if reasons.is_empty() {
            word.to_owned()
        } else {
            format!("{word}: {}", reasons.join("; "))
        })?;
    }
    Ok(if reply.health == Health::Failing { exit::FAILED } else { exit::DONE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobName;
    use crate::run::{JobStatus, Reason};

    fn job(name: &str, next: Option<&str>) -> JobStatus {
        JobStatus {
            name: JobName::new(name).unwrap(),
            schedule: "@daily".into(),
            timezone: chrono_tz::Europe::Berlin,
            enabled: true,
            next: next.map(str::to_owned),
            last_outcome: None,
            last_finished_at: None,
        }
    }

    fn reason(what: &str) -> Reason {
        Reason {
            code: "x".into(),
            what: what.into(),
            since: chrono::DateTime::UNIX_EPOCH,
            next: "nothing".into(),
            command: "tender check".into(),
        }
    }

    #[test]
    fn the_first_sentence_says_it_all() {
        let mut snapshot = Snapshot::default();
        assert_eq!(sentence(&snapshot), "All is well: no job is defined.");
        snapshot.jobs = vec![
            job("backup", Some("2026-03-29T03:00:00+02:00")),
            job("autodeploy", Some("2026-03-29T02:00:00+01:00")),
            job("idle", None),
        ];
        snapshot.jobs[1].next = Some("2026-03-29T01:30:00+01:00".into());
        assert_eq!(sentence(&snapshot), "All is well: 3 jobs, next is autodeploy at 2026-03-29T01:30:00+01:00.");
        snapshot.health = Health::Degraded;
        snapshot.reasons = vec![reason("a job was refused."), reason("another")];
        assert_eq!(
            sentence(&snapshot),
            "Something needs you: a job was refused (and 1 more); 3 jobs, next is autodeploy at 2026-03-29T01:30:00+01:00."
        );
    }
}
