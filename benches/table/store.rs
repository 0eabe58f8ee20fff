//! The store with a long history: what a run costs, what a look at the history costs, and a start.

use chrono::DateTime;
use tender::job::JobName;
use tender::run::{Ledger, Occurrence, Outcome, RunRecord, Started, State, Trigger};
use tender::store::{Filter, Lease, Store};

use crate::Bench;
use crate::samples::{Samples, exponent, milliseconds};
use crate::table::Row;

/// Jobs that the history is of.
const JOBS: usize = 100;

/// Rows that are written in one transaction while the history is made up.
const BATCH: usize = 1000;

/// Each measurement is the mean of so many: one alone is lost in the noise of the disk.
const MANY: usize = 10;

struct Place {
    dir: tempfile::TempDir,
    lease: Lease,
    store: Store,
    size: usize,
}

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let largest = bench.largest.saturating_mul(10);
    let sizes: Vec<usize> = std::iter::successors(Some(10), |n| Some(n * 10)).take_while(|n| *n <= largest).collect();
    let mut places = Vec::new();
    for size in &sizes {
        places.push(runtime.block_on(fill(*size))?);
    }
    let mut times = vec![[const { Vec::new() }; 3]; sizes.len()];
    for round in 0..bench.runs {
        for (place, [run, history, start]) in places.iter_mut().zip(&mut times) {
            run.push(per_one(|n| runtime.block_on(whole_run(&place.store, place.size + round * MANY + n)))?);
            history.push(per_one(|_| runtime.block_on(look(&place.store)))?);
            start.push(place.start()?);
        }
    }
    let row = |what: &str, target: &str, index: usize| {
        let samples: Vec<Samples> = times.iter().map(|times| Samples::new(times[index].clone(), "ms")).collect();
        let float = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        let points: Vec<(f64, f64)> = sizes.iter().zip(&samples).map(|(n, s)| (float(*n), s.median())).collect();
        let each: Vec<String> = sizes.iter().zip(&samples).map(|(n, s)| format!("{n}: {}", s.said())).collect();
        let name = format!("{what}, 10 → {} runs in the store: exponent", sizes.last().copied().unwrap_or_default());
        Row::new(name, target, Samples::new(vec![exponent(&points)], "")).note(each.join("; "))
    };
    Ok(vec![
        row("rows of one run, planned to recorded", "0 (the same whatever the history)", 0),
        row("the newest 50 runs and each job's last outcome", "0 (likewise)", 1),
        row("opening the store", "≤ 1, and ≤ 300 ms with 100,000", 2),
    ])
}

fn per_one(mut work: impl FnMut(usize) -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let (time, done) = milliseconds(|| (0..MANY).try_for_each(&mut work));
    done?;
    Ok(time / f64::from(u32::try_from(MANY)?))
}

impl Place {
    /// Opens the store as a start does, beside the one that is open.
    fn start(&mut self) -> anyhow::Result<f64> {
        let (time, opened) = milliseconds(|| Store::open(self.dir.path(), &self.lease));
        let opened = opened?;
        anyhow::ensure!(opened.set_aside.is_none(), "the store was damaged");
        self.store = opened.store;
        Ok(time)
    }
}

fn row_of(number: usize) -> anyhow::Result<RunRecord> {
    let at = DateTime::from_timestamp(i64::try_from(number)?, 0).unwrap_or_default();
    let job = JobName::new(&format!("job-{:03}", number % JOBS))?;
    let mut record = RunRecord::planned(Occurrence::first(job, at, 0), Trigger::Schedule);
    record.log_file = Some("job.log".to_owned());
    Ok(record)
}

async fn fill(size: usize) -> anyhow::Result<Place> {
    let dir = tempfile::tempdir()?;
    let lease = Lease::try_take(dir.path(), None)?.ok_or_else(|| anyhow::anyhow!("the lease is taken"))?;
    let store = Store::open(dir.path(), &lease)?.store;
    let numbers: Vec<usize> = (0..size).collect();
    for numbers in numbers.chunks(BATCH) {
        let mut rows = Vec::new();
        for number in numbers {
            let mut record = row_of(*number)?;
            record.image = Some(format!("sha256:{number:064x}"));
            record.container_name = Some(record.occurrence.container_name("stack"));
            record.started_at = Some(record.due);
            record.finished_at = Some(record.due);
            record.state = State::Finished(Outcome::Succeeded);
            rows.push(record);
        }
        store.plan(rows, vec![], vec![], None).await?;
    }
    Ok(Place { dir, lease, store, size })
}

async fn whole_run(store: &Store, number: usize) -> anyhow::Result<()> {
    let mut record = row_of(number)?;
    let mark = (record.occurrence.job.clone(), record.due, 0);
    store.plan(vec![record.clone()], vec![], vec![mark], None).await?;
    let started = Started { container: "c".to_owned(), name: "bench".to_owned(), image: None };
    store.starting(&record.id, &started).await?;
    store.running(&record.id, record.due, None).await?;
    record.state = State::Finished(Outcome::Succeeded);
    record.finished_at = Some(record.due);
    store.finished(&record).await
}

async fn look(store: &Store) -> anyhow::Result<()> {
    let runs = store.runs(Filter { job: None, limit: Some(50) }).await?;
    let last = store.last_outcomes().await?;
    anyhow::ensure!(!runs.is_empty() && !last.is_empty(), "the history is empty");
    Ok(())
}
