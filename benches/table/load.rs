//! The configuration, read in this process: what the probe's container does after its start.

use crate::Bench;
use crate::samples::{Samples, milliseconds};
use crate::stack::Stack;
use crate::table::Row;

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let stack = Stack::new(20, 5)?;
    let values = (0..bench.runs).map(|_| milliseconds(|| stack.load()).0).collect();
    Ok(vec![Row::new("configuration load, 100 jobs over 20 conf dirs", "≤ 300 ms", Samples::new(values, "ms"))])
}
