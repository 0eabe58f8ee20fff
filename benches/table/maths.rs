//! The next occurrence of a pattern, beside the crate croner.

use std::hint::black_box;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use tender::schedule::Schedule;

use crate::Bench;
use crate::samples::Samples;
use crate::table::Row;

const PATTERNS: [(&str, &str, Tz); 8] = [
    ("every minute", "* * * * *", Tz::UTC),
    ("nightly", "7 5 * * *", Tz::Europe__Berlin),
    ("nightly, at a clock change", "30 2 * * *", Tz::America__New_York),
    ("business hours", "*/5 9-17 * * MON-FRI", Tz::Europe__Berlin),
    ("last day of a month", "0 12 L * *", Tz::Europe__Berlin),
    ("weekday nearest to the 15th", "0 12 15W * *", Tz::Europe__Berlin),
    ("29 February", "0 0 29 2 *", Tz::UTC),
    ("never", "0 0 30 2 *", Tz::UTC),
];

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let (rounds, each) = if bench.runs == 1 { (1, 10) } else { (bench.runs, 2_000) };
    // The night before a clock change in New York.
    let after: DateTime<Utc> = "2026-03-08T04:00:00Z".parse()?;
    PATTERNS
        .iter()
        .map(|(name, text, zone)| {
            let ours = Schedule::parse(text, *zone, "bench")?;
            let peer = croner::Cron::from_str(text).ok();
            let local = after.with_timezone(zone);
            let (mut mine, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                mine.push(microseconds(each, || black_box(&ours).next_after(black_box(after)).is_some()));
                if let Some(peer) = &peer {
                    theirs.push(microseconds(each, || black_box(peer).find_next_occurrence(&local, false).is_ok()));
                }
            }
            let target = if *name == "never" { "≤ 10 µs" } else { "≤ 1 µs" };
            let row = Row::new(format!("next occurrence: {name}"), target, Samples::new(mine, "µs"));
            if theirs.is_empty() {
                return Ok(row.note("croner does not read it"));
            }
            Ok(row.beside("croner", Samples::new(theirs, "µs")))
        })
        .collect()
}

/// Of at most so many rounds, and no more than fit into a few milliseconds: a search for a day that
/// never comes takes some crates long.
fn microseconds(times: u32, mut work: impl FnMut() -> bool) -> f64 {
    let (mut done, begun) = (0, Instant::now());
    while done < times && begun.elapsed() < Duration::from_millis(20) {
        for _ in 0..times.div_ceil(100) {
            let _ = black_box(work());
        }
        done += times.div_ceil(100);
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(done)
}
