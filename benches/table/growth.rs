//! What a scheduler keeps in memory of runs that are over: the rows, spools, logs and compression of
//! many, without an engine, in this process.

use chrono::{DateTime, Utc};
use tender::engine::{Channel, Frame};
use tender::job::JobName;
use tender::run::{Ledger, Occurrence, Outcome, RunRecord, Started, State, Trigger};
use tender::runner::output::{LogTarget, Output};
use tender::runner::projection::Trailer;
use tender::runner::shelf::{Keep, Shelf};
use tender::store::{Lease, Store};

use crate::Bench;
use crate::samples::Samples;
use crate::table::Row;

/// Pieces of 16 KiB: 1 MB.
const PIECES: usize = 64;

/// The log would take gigabytes; a rotation comes so often.
const ROTATION: usize = 100;

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let runs = bench.largest / 10;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (memory, files) = runtime.block_on(grow(runs))?;
    let name = |what: &str| format!("{what} after {runs} runs that print 1 MB each");
    Ok(vec![
        Row::new(name("growth of memory"), "≤ 2 MB", Samples::new(vec![memory], "MB"))
            .note("rows, spools, logs and compression, without an engine"),
        Row::new(name("open files more"), "0", Samples::new(vec![files], "")),
    ])
}

async fn grow(runs: usize) -> anyhow::Result<(f64, f64)> {
    let dir = tempfile::tempdir()?;
    let lease = Lease::try_take(dir.path(), None)?.ok_or_else(|| anyhow::anyhow!("the lease is taken"))?;
    let store = Store::open(dir.path(), &lease)?.store;
    let output = Output::start(Shelf::new(dir.path()))?;
    output.keep(Keep { count: 50, age: std::time::Duration::from_secs(3600), bytes: 1 << 30 });
    let mut before = (0.0, 0.0);
    for number in 0..runs + ROTATION {
        if number % ROTATION == 0 {
            std::fs::remove_file(dir.path().join("bench.log")).ok();
            store.prune(50, DateTime::UNIX_EPOCH).await?;
        }
        if number == ROTATION {
            before = (resident()?, open_files()?);
        }
        one(&store, &output, &dir.path().join("bench.log"), i64::try_from(number)?).await?;
    }
    let after = (resident()?, open_files()?);
    Ok((after.0 - before.0, after.1 - before.1))
}

async fn one(store: &Store, output: &Output, log: &std::path::Path, number: i64) -> anyhow::Result<()> {
    let at = DateTime::from_timestamp(number, 0).unwrap_or_else(Utc::now);
    let mut record = RunRecord::planned(Occurrence::first(JobName::new("bench")?, at, 0), Trigger::Schedule);
    store.plan(vec![record.clone()], vec![], vec![], None).await?;
    let started = Started { container: "c".to_owned(), name: "bench".to_owned(), image: None };
    store.starting(&record.id, &started).await?;
    let target = LogTarget { path: log.to_owned(), job: "bench".to_owned(), started: at };
    let lane = output.open(&record.id, Some(target.clone())).await?;
    let line = format!("{number}: what a job says about what it does, line after line\n");
    let piece: Vec<u8> = line.bytes().cycle().take(16 << 10).collect();
    for chunk in 0..PIECES / 16 {
        let frame = Frame { channel: Channel::Out, time_ns: i64::try_from(chunk)? + 1, bytes: piece.clone() };
        lane.push(vec![frame; 16]).await?;
    }
    lane.end().await?;
    record.state = State::Finished(Outcome::Succeeded);
    record.finished_at = Some(at);
    store.finished(&record).await?;
    if let Some(trailer) = Trailer::of(&record) {
        output.close(&record.id, Some(target), trailer).await?;
    }
    Ok(())
}

/// Memory of this process, in MB.
fn resident() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let line = line.ok_or_else(|| anyhow::anyhow!("the kernel does not say how much memory this takes"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1000.0)
}

fn open_files() -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(std::fs::read_dir("/proc/self/fd")?.count())?))
}
