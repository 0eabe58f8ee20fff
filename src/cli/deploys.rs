//! `tender deploys`: the records that deploys left behind.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::args::Deploys;
use super::context::Context;
use super::{exit, instant, out};
use crate::job::Builtin;
use crate::run::DeployRecord;

/// `tender deploys`.
pub(super) async fn deploys(context: &Context, args: &Deploys) -> anyhow::Result<u8> {
    let mut records = read(&context.state_dir().join("deploy/records"))?;
    records.truncate(args.limit);
    let zone = super::history::zones(context).await.of(Builtin::Autodeploy.name());
    if args.form.json {
        context.out.json(&records.iter().map(|record| document(record, zone)).collect::<Vec<_>>())?;
        return Ok(exit::DONE);
    }
    if records.is_empty() {
        context.out.line("no deploy is on record")?;
        return Ok(exit::DONE);
    }
    context.out.table(
        ["deploy", "started", "took", "outcome", "services", "reason"],
        records.iter().map(|record| {
            [
                record.id.clone(),
                instant::short(record.started_at, zone),
                instant::length((record.finished_at - record.started_at).num_milliseconds()),
                word(record),
                if record.services.is_empty() { "-".to_owned() } else { record.services.join(" ") },
                record.reason.clone().unwrap_or_default(),
            ]
        }),
    )?;
    Ok(exit::DONE)
}

fn word(record: &DeployRecord) -> String {
    serde_json::to_value(record.outcome).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn document(record: &DeployRecord, zone: Tz) -> Value {
    let mut document = json!(record);
    document["started_at"] = instant::zoned(record.started_at, zone).into();
    document["finished_at"] = instant::zoned(record.finished_at, zone).into();
    document
}

/// All records, newest first. A damaged one is named and left out.
fn read(folder: &Path) -> anyhow::Result<Vec<DeployRecord>> {
    let about = || format!("failed to read {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(about),
    };
    let mut records = Vec::new();
    for entry in entries {
        let path = entry.with_context(about)?.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let text = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        match serde_json::from_slice::<DeployRecord>(&text) {
            Ok(record) => records.push(record),
            Err(error) => out::remark(format!("tender: {} is damaged: {error}", path.display())),
        }
    }
    records.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{DeployOutcome, RevisionVector};

    #[test]
    fn records_come_newest_first_and_a_damaged_one_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&dir.path().join("none")).unwrap().is_empty());
        for (id, second) in [("a", 10), ("b", 30), ("c", 20)] {
            let at = chrono::DateTime::from_timestamp(second, 0).unwrap();
            let record = DeployRecord {
                id: id.into(),
                started_at: at,
                finished_at: at,
                outcome: DeployOutcome::RolledBack,
                from: RevisionVector::default(),
                to: RevisionVector([("/stack".into(), "abc".into())].into()),
                services: vec!["web".into()],
                steps: vec![],
                reason: None,
                scheduler_behind: false,
            };
            fs::write(dir.path().join(format!("{id}.json")), serde_json::to_vec(&record).unwrap()).unwrap();
        }
        fs::write(dir.path().join("d.json"), "{").unwrap();
        fs::write(dir.path().join("e.json.new"), "{").unwrap();
        let records = read(dir.path()).unwrap();
        assert_eq!(records.iter().map(|r| r.id.as_str()).collect::<String>(), "bca");
        let document = document(&records[0], chrono_tz::Europe::Berlin);
        assert_eq!(document["started_at"], "1970-01-01T01:00:30+01:00");
        assert_eq!(document["outcome"], "rolled-back");
        assert_eq!(document["to"]["/stack"], "abc");
    }
}
