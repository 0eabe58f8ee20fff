//! `tender runs`: what ran, and how it ended.

use chrono_tz::Tz;
use serde_json::{Value, json};

use super::args::Runs;
use super::context::Context;
use super::history::Zones;
use super::{exit, history, instant};
use crate::run::{RunRecord, SkipRow, State, Trigger};
use crate::store::Listed;

/// `tender runs`.
pub(super) async fn runs(context: &Context, args: &Runs) -> anyhow::Result<u8> {
    let listed = history::runs(context, args.job.as_deref(), args.limit)?;
    let zones = history::zones(context).await;
    if args.form.json {
        context.out.json(&listed.iter().map(|one| document_of(one, &zones)).collect::<Vec<_>>())?;
    } else if listed.is_empty() {
        context.out.line("no run is on record")?;
    } else {
        let rows = listed.iter().map(|one| match one {
            Listed::Run(record) => row(record, zones.of(record.occurrence.job.as_str())),
            Listed::Skips(skips) => skips_row(skips, zones.of(skips.job.as_str())),
        });
        context.out.table(["run", "job", "trigger", "planned", "took", "outcome"], rows)?;
    }
    Ok(exit::DONE)
}

fn document_of(listed: &Listed, zones: &Zones) -> Value {
    match listed {
        Listed::Run(record) => document(record, zones.of(record.occurrence.job.as_str())),
        Listed::Skips(skips) => skips_document(skips, zones.of(skips.job.as_str())),
    }
}

fn skips_row(skips: &SkipRow, zone: Tz) -> [String; 6] {
    let times = if skips.count == 1 { String::new() } else { format!(", {} times", skips.count) };
    [
        "-".to_owned(),
        skips.job.to_string(),
        Trigger::Schedule.word().to_owned(),
        instant::short(skips.to, zone),
        "-".to_owned(),
        format!("skipped({}){times}", skips.reason),
    ]
}

/// Occurrences that were skipped: as a run that has no id, and never started.
fn skips_document(skips: &SkipRow, zone: Tz) -> Value {
    json!({
        "id": null,
        "job": skips.job,
        "trigger": Trigger::Schedule,
        "state": "finished",
        "planned_for": instant::zoned(skips.to, zone),
        "started_at": null,
        "finished_at": null,
        "lateness_ms": null,
        "duration_ms": null,
        "outcome": "skipped",
        "exit_code": null,
        "reason": skips.reason.to_string(),
        "attempt": null,
        "part": null,
        "image": null,
        "container": null,
        "log": null,
        "result": null,
        "output_note": null,
        "skipped_since": instant::zoned(skips.from, zone),
        "skipped_count": skips.count,
    })
}

fn row(record: &RunRecord, zone: Tz) -> [String; 6] {
    let outcome = match &record.state {
        State::Finished(outcome) => outcome.to_string(),
        State::Planned { waiting: Some(waiting) } => format!("waits: {waiting}"),
        state => state.word().to_owned(),
    };
    [
        record.id.to_string(),
        record.occurrence.job.to_string(),
        record.trigger.word().to_owned(),
        instant::short(record.occurrence.planned_for, zone),
        duration(record).map_or_else(|| "-".to_owned(), instant::length),
        outcome,
    ]
}

fn duration(record: &RunRecord) -> Option<i64> {
    Some((record.finished_at? - record.started_at?).num_milliseconds())
}

/// The document about a run.
pub(super) fn document(record: &RunRecord, zone: Tz) -> Value {
    let instant = |at| instant::zoned(at, zone);
    let waiting = match &record.state {
        State::Planned { waiting } => waiting.clone(),
        _ => None,
    };
    json!({
        "id": record.id,
        "job": record.occurrence.job,
        "trigger": record.trigger,
        "state": record.state.word(),
        "planned_for": instant(record.occurrence.planned_for),
        "started_at": record.started_at.map(instant),
        "finished_at": record.finished_at.map(instant),
        "lateness_ms": record.started_at.map(|at| (at - record.occurrence.planned_for).num_milliseconds()),
        "duration_ms": duration(record),
        "outcome": record.outcome().map(|outcome| outcome.word()),
        "exit_code": record.exit_code,
        "reason": record.outcome().and_then(|outcome| outcome.reason()).or(waiting),
        "attempt": record.occurrence.attempt,
        "part": record.occurrence.part,
        "image": record.image,
        "container": record.container_name,
        "log": record.log_file,
        "result": record.result,
        "output_note": record.output_note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobName;
    use crate::run::{Occurrence, Outcome, SkipReason};

    #[test]
    fn a_run_has_the_promised_shape() {
        let at = |second| chrono::DateTime::from_timestamp(second, 0).unwrap();
        let mut record = RunRecord::planned(
            Occurrence::first(JobName::new("backup").unwrap(), at(1_774_746_000), 0),
            Trigger::Missed,
        );
        let planned = document(&record, chrono_tz::Europe::Berlin);
        assert_eq!((&planned["state"], &planned["outcome"]), (&json!("planned"), &Value::Null));

        record.started_at = Some(at(1_774_746_002));
        record.finished_at = Some(at(1_774_746_012));
        record.exit_code = Some(137);
        record.state = State::Finished(Outcome::Failed { code: 137, oom: true });
        let document = document(&record, chrono_tz::Europe::Berlin);
        assert_eq!(document["planned_for"], "2026-03-29T03:00:00+02:00");
        assert_eq!((&document["lateness_ms"], &document["duration_ms"]), (&json!(2000), &json!(10_000)));
        assert_eq!((&document["outcome"], &document["reason"]), (&json!("failed"), &json!("out of memory")));
        assert_eq!((&document["trigger"], &document["attempt"]), (&json!("missed"), &json!(1)));
        for key in ["id", "job", "started_at", "finished_at", "exit_code", "image", "container", "log", "result"] {
            assert!(document.get(key).is_some(), "{key}");
        }
        let skips = SkipRow {
            job: JobName::new("backup").unwrap(),
            from: at(1_774_742_400),
            to: at(1_774_746_000),
            count: 2,
            reason: SkipReason::Overlap,
        };
        let skipped = skips_document(&skips, Tz::UTC);
        assert!(document.as_object().unwrap().keys().all(|key| skipped.get(key).is_some()), "one shape for all");
        assert_eq!((&skipped["outcome"], &skipped["reason"]), (&json!("skipped"), &json!("still running")));
        assert_eq!(row(&record, Tz::UTC)[3..], ["2026-03-29 01:00:00 +00:00", "10 s", "failed(137, out of memory)"]);
    }
}
