//! How the cost grows: linearly or better, or it will hurt somebody one day.

use crate::Bench;
use crate::samples::{Samples, exponent, milliseconds};
use crate::stack::Stack;
use crate::table::Row;

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let jobs = |n: usize| if n <= 10 { (2, n / 2) } else { (20, n / 20) };
    Ok(vec![
        row("configuration load", "jobs", bench, bench.largest, jobs)?,
        // Every conf dir adds to lists that every later one copies, as the shell files of stacks do.
        row("configuration load", "conf dirs", bench, bench.largest.min(100), |n| (n, 1))?,
    ])
}

fn row(
    what: &str,
    unit: &'static str,
    bench: &Bench,
    largest: usize,
    shape: impl Fn(usize) -> (usize, usize),
) -> anyhow::Result<Row> {
    let sizes: Vec<usize> = std::iter::successors(Some(10), |n| Some(n * 10)).take_while(|n| *n <= largest).collect();
    let stacks: Vec<Stack> =
        sizes.iter().map(|n| shape(*n)).map(|(d, j)| Stack::new(d, j)).collect::<Result<_, _>>()?;
    let mut times = vec![Vec::new(); sizes.len()];
    // In turns, so that a busy minute of the machine touches all sizes alike.
    for _ in 0..bench.runs {
        for (stack, times) in stacks.iter().zip(&mut times) {
            times.push(milliseconds(|| stack.load()).0);
        }
    }
    let samples: Vec<Samples> = times.into_iter().map(|t| Samples::new(t, "ms")).collect();
    let points: Vec<(f64, f64)> = sizes
        .iter()
        .zip(&samples)
        .map(|(n, s)| (f64::from(u32::try_from(*n).unwrap_or(u32::MAX)), s.median()))
        .collect();
    let each: Vec<String> = sizes.iter().zip(&samples).map(|(n, s)| format!("{n}: {}", s.said())).collect();
    let name = format!("{what}, 10 → {} {unit}: exponent", sizes.last().copied().unwrap_or_default());
    Ok(Row::new(name, "≤ 1 (linear)", Samples::new(vec![exponent(&points)], "")).note(each.join("; ")))
}
