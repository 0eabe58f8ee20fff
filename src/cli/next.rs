//! `tender next`: when schedules are due.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::args::Next;
use super::context::{Context, zone};
use super::control::no_job;
use super::failure::Failure;
use super::{exit, instant, load};
use crate::schedule::Schedule;

/// `tender next`.
pub(super) async fn next(context: &Context, args: &Next) -> anyhow::Result<u8> {
    match &args.schedule {
        Some(text) => of_schedule(context, args, text),
        None => of_jobs(context, args).await,
    }
}

fn of_schedule(context: &Context, args: &Next, text: &str) -> anyhow::Result<u8> {
    let zone = match &args.timezone {
        Some(name) => zone(name)?,
        None => context.default_zone()?,
    };
    let schedule = parsed(text, zone, args.job.as_deref().unwrap_or_default())?;
    let after = after(args, zone)?;
    let instants: Vec<String> =
        coming(&schedule, after, args.count).map(|at| instant::zoned(at, schedule.zone())).collect();
    if args.form.json {
        context.out.json(&instants)?;
        return Ok(exit::DONE);
    }
    context.out.line(schedule.explain())?;
    for at in instants {
        context.out.line(at)?;
    }
    Ok(exit::DONE)
}

async fn of_jobs(context: &Context, args: &Next) -> anyhow::Result<u8> {
    let loaded = load::loaded(context).await?;
    let after = after(args, loaded.settings.timezone)?;
    let wanted = |name: &str| args.job.as_deref().is_none_or(|job| job == name);
    let jobs: Vec<_> = loaded.jobs.iter().filter(|job| wanted(job.name.as_str())).collect();
    if let (Some(name), true) = (&args.job, jobs.is_empty()) {
        return Err(Failure::usage(no_job(name, loaded.jobs.iter().map(|job| job.name.as_str()))));
    }
    let coming: Vec<(&str, Vec<DateTime<Utc>>, Tz)> = jobs
        .into_iter()
        .map(|job| {
            let count = if job.enabled { args.count } else { 0 };
            (job.name.as_str(), coming(&job.schedule, after, count).collect(), job.schedule.zone())
        })
        .collect();
    if args.form.json {
        let document: Vec<_> = coming
            .iter()
            .map(|(name, instants, zone)| {
                json!({"job": name, "next": instants.iter().map(|at| instant::zoned(*at, *zone)).collect::<Vec<_>>()})
            })
            .collect();
        context.out.json(&document)?;
    } else {
        let rows = coming.iter().flat_map(|(name, instants, zone)| {
            let texts: Vec<String> = match instants.as_slice() {
                [] => vec!["-".to_owned()],
                instants => instants.iter().map(|at| instant::zoned(*at, *zone)).collect(),
            };
            texts
                .into_iter()
                .enumerate()
                .map(move |(at, text)| [if at == 0 { (*name).to_owned() } else { String::new() }, text])
        });
        context.out.table(["job", "next"], rows)?;
    }
    Ok(load::report(&loaded))
}

pub(super) fn parsed(text: &str, zone: Tz, seed: &str) -> anyhow::Result<Schedule> {
    Schedule::parse(text, zone, seed).map_err(|why| Failure::config(format!("{text:?} is no schedule: {why}")))
}

fn after(args: &Next, zone: Tz) -> anyhow::Result<DateTime<Utc>> {
    args.after.as_deref().map_or_else(
        || Ok(Utc::now()),
        |text| instant::read(text, zone).map_err(|why| Failure::usage(format!("--after: {why}"))),
    )
}

pub(super) fn coming(schedule: &Schedule, after: DateTime<Utc>, count: u16) -> impl Iterator<Item = DateTime<Utc>> {
    std::iter::successors(schedule.next_after(after), |at| schedule.next_after(*at)).take(usize::from(count))
}
