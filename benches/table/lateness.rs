//! How late a run is handed over when its second comes: alarm, planner and the commit of its row.
//! What the engine takes from there on is another figure's.

use chrono::{TimeDelta, Utc};
use tender::scheduler::{Alarm, Ring};

use crate::Bench;
use crate::planned::Planned;
use crate::samples::Samples;
use crate::table::Row;

const TARGET: &str = "p50 ≤ 2 ms, p95 ≤ 5 ms, max ≤ 25 ms";

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seconds = if bench.runs == 1 { 2 } else { 60 };
    let (ours, floor) = runtime.block_on(both(seconds))?;
    let ours = Samples::new(ours, "ms");
    let p95 = format!("p95 {} ms", crate::samples::short(ours.quantile(0.95)));
    let row = Row::new("start lateness, one job each second", TARGET, ours)
        .note(format!("{p95}; of {seconds} starts, row durable"));
    // A machine that is always half a second late has no bare timer to show.
    if floor.is_empty() {
        return Ok(vec![row]);
    }
    Ok(vec![row.beside("a bare timer of tokio", Samples::new(floor, "ms"))])
}

/// Milliseconds after each second: ours, and those of a timer that does nothing else.
async fn both(seconds: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let mut planned = Planned::new(1, "* * * * * *", Utc::now()).await?;
    let mut alarm = Alarm::start().await?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    while ours.len() < seconds {
        let due = planned.planner.next().ok_or_else(|| anyhow::anyhow!("the job is never due"))?;
        // In the same second, half of one later, so that they do not meet.
        let bare = due + TimeDelta::milliseconds(500);
        while alarm.next(Some(due)).await != Ring::Due {}
        anyhow::ensure!(planned.decide(Utc::now()).await? > 0, "nothing was due");
        ours.push(milliseconds(Utc::now() - due));
        if let Ok(left) = (bare - Utc::now()).to_std() {
            tokio::time::sleep(left).await;
            floor.push(milliseconds(Utc::now() - bare));
        }
    }
    Ok((ours, floor))
}

fn milliseconds(late: TimeDelta) -> f64 {
    late.as_seconds_f64() * 1000.0
}
