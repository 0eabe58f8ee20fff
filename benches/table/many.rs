//! Many jobs that are due at once: all of them planned, decided about and noted; and what a look at
//! those that wait costs.

use std::collections::HashMap;
use std::time::Instant;

use chrono::{TimeDelta, Utc};
use tender::engine::fake::{Fake, Script};
use tender::job::Job;
use tender::runner::Runner;
use tender::scheduler::Planner;

use crate::Bench;
use crate::house::{House, trivial};
use crate::samples::{Samples, exponent};
use crate::table::Row;

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let sizes: Vec<usize> =
        std::iter::successors(Some(10), |n| Some(n * 10)).take_while(|n| *n <= bench.largest).collect();
    let mut decided = vec![Vec::new(); sizes.len()];
    let mut looks = vec![Vec::new(); sizes.len()];
    for _ in 0..bench.runs {
        for (at, size) in sizes.iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (all, look) = tokio::task::LocalSet::new().block_on(&runtime, due_at_once(*size))?;
            decided[at].push(all);
            looks[at].push(look);
        }
    }
    let samples = |times: Vec<Vec<f64>>| times.into_iter().map(|t| Samples::new(t, "ms")).collect::<Vec<_>>();
    let (decided, looks) = (samples(decided), samples(looks));
    let at = sizes.iter().position(|n| *n == 1000).unwrap_or(sizes.len() - 1);
    Ok(vec![
        Row::new(format!("{} jobs due in one second: all decided", sizes[at]), "≤ 50 ms", decided[at].clone()),
        slope("jobs due in one second", &sizes, &decided),
        slope("a look at rows that wait", &sizes, &looks),
    ])
}

fn slope(what: &str, sizes: &[usize], samples: &[Samples]) -> Row {
    let points: Vec<(f64, f64)> = sizes
        .iter()
        .zip(samples)
        .map(|(n, s)| (f64::from(u32::try_from(*n).unwrap_or(u32::MAX)), s.median()))
        .collect();
    let each: Vec<String> = sizes.iter().zip(samples).map(|(n, s)| format!("{n}: {}", s.said())).collect();
    let name = format!("{what}, 10 → {}: exponent", sizes.last().copied().unwrap_or_default());
    Row::new(name, "≤ 1 (linear)", Samples::new(vec![exponent(&points)], "")).note(each.join("; "))
}

/// Milliseconds until all are decided, and those of one more look, in which nothing changes.
async fn due_at_once(size: usize) -> anyhow::Result<(f64, f64)> {
    let house = House::new()?;
    let fake = Fake::new();
    fake.image("busybox");
    fake.script("busybox", Script::forever());
    let jobs: Vec<Job> =
        (0..size).map(|n| trivial(&format!("job {n}"), "busybox", "* * * * * *")).collect::<Result<_, _>>()?;
    let mut runner: Runner<Fake> = house.runner(fake)?;
    let now = Utc::now();
    let mut planner = Planner::new(&jobs, &HashMap::new(), 0, "bench", now - TimeDelta::seconds(1));
    let begun = Instant::now();
    let plan = planner.due(now);
    anyhow::ensure!(plan.rows.len() >= size, "only {} are due", plan.rows.len());
    let watermarks = plan.watermarks.into_iter().map(|(job, mark)| (job, mark.planned, mark.era)).collect();
    let rows = house.store.plan(plan.rows, vec![], watermarks, plan.era).await?;
    runner.enqueue(rows);
    // Notes no more than so many at a time.
    for _ in 0..size.div_ceil(1000) {
        runner.pump(&jobs, now).await?;
    }
    let all = begun.elapsed().as_secs_f64() * 1000.0;
    let begun = Instant::now();
    runner.pump(&jobs, now).await?;
    let look = begun.elapsed().as_secs_f64() * 1000.0;
    anyhow::ensure!(runner.running().len() + runner.waiting().len() == size, "some are gone");
    runner.stop().await;
    Ok((all, look))
}
