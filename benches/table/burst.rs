//! Many jobs that are due in one second: until all are decided and their rows are durable; and how
//! that grows.

use chrono::{DateTime, TimeDelta, Utc};

use crate::Bench;
use crate::planned::Planned;
use crate::samples::{Samples, exponent, milliseconds};
use crate::table::Row;

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sizes: Vec<usize> = [10, 100, 1_000, 10_000].into_iter().filter(|n| *n <= bench.largest.max(1_000)).collect();
    let begin: DateTime<Utc> = "2026-01-01T00:00:30Z".parse()?;
    let mut times = vec![Vec::new(); sizes.len()];
    let mut stores = sizes
        .iter()
        .map(|n| runtime.block_on(Planned::new(*n, "* * * * *", begin)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for run in 1..=bench.runs {
        let now = begin + TimeDelta::seconds(30) + TimeDelta::minutes(i64::try_from(run)?);
        for ((size, planned), times) in sizes.iter().zip(&mut stores).zip(&mut times) {
            // Before each measured minute the one before it, so that each has just one occurrence.
            if run == 1 {
                runtime.block_on(planned.decide(now - TimeDelta::minutes(1)))?;
            }
            let (time, rows) = milliseconds(|| runtime.block_on(planned.decide(now)));
            anyhow::ensure!(rows? == *size, "not all of {size} jobs were decided");
            times.push(time);
        }
    }
    let samples: Vec<Samples> = times.into_iter().map(|times| Samples::new(times, "ms")).collect();
    let points: Vec<(f64, f64)> = sizes
        .iter()
        .zip(&samples)
        .map(|(n, s)| (f64::from(u32::try_from(*n).unwrap_or(u32::MAX)), s.median()))
        .collect();
    let each: Vec<String> = sizes.iter().zip(&samples).map(|(n, s)| format!("{n}: {}", s.said())).collect();
    let thousand = sizes.iter().position(|n| *n == 1_000).and_then(|at| samples.get(at)).cloned();
    let thousand = thousand.ok_or_else(|| anyhow::anyhow!("a thousand is among the sizes"))?;
    let slope = format!(
        "jobs due in one second, planned and durable, 10 → {}: exponent",
        sizes.last().copied().unwrap_or_default()
    );
    Ok(vec![
        Row::new("1,000 jobs due in one second, planned and durable (the part before the runner)", "≤ 50 ms", thousand),
        Row::new(slope, "≤ 1 (linear)", Samples::new(vec![exponent(&points)], "")).note(each.join("; ")),
    ])
}
