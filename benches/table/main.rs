//! `cargo bench --bench table [-- --only NAME] [--json] [--quick]`: one table of figures, each beside
//! its peer where it has one, measured in the same run on the same machine.
//!
//! Machines are noisy: a figure is the median of at least nine runs, taken in turns with those of its
//! peer; smallest and largest stand beside it. Nothing here judges: the target is for the reader.
//! A figure is a file of its own and a line in [`FIGURES`].

// prints a table; an impossible state may end it
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod burst;
mod exec;
mod growth;
mod house;
mod idle;
mod lateness;
mod load;
mod many;
mod maths;
mod planned;
mod probe;
mod proxy;
mod run;
mod samples;
mod stack;
mod store;
mod sweep;
mod table;

use std::process::ExitCode;

use table::Row;

/// How the harness was asked to measure.
pub(crate) struct Bench {
    /// Runs of each figure.
    pub(crate) runs: usize,
    /// The largest step of a sweep.
    pub(crate) largest: usize,
}

/// A group of rows that are measured together.
struct Figure {
    name: &'static str,
    measure: fn(&Bench) -> anyhow::Result<Vec<Row>>,
}

const FIGURES: &[Figure] = &[
    Figure { name: "burst", measure: burst::measure },
    Figure { name: "exec", measure: exec::measure },
    Figure { name: "growth", measure: growth::measure },
    Figure { name: "idle", measure: idle::measure },
    Figure { name: "lateness", measure: lateness::measure },
    Figure { name: "load", measure: load::measure },
    Figure { name: "many", measure: many::measure },
    Figure { name: "maths", measure: maths::measure },
    Figure { name: "probe", measure: probe::measure },
    Figure { name: "run", measure: run::measure },
    Figure { name: "store", measure: store::measure },
    Figure { name: "sweep", measure: sweep::measure },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut only, mut json) = (Vec::new(), false);
    let mut bench = Bench { runs: 9, largest: 10_000 };
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument {
            "--only" => only.extend(arguments.next().map(str::to_owned)),
            "--json" => json = true,
            // Shows that it still works; says nothing about speed.
            "--quick" => bench = Bench { runs: 1, largest: 100 },
            // cargo says this to every bench
            "--bench" => {}
            other => {
                eprintln!("{other} is not understood; there are --only NAME, --json and --quick");
                return ExitCode::FAILURE;
            }
        }
    }
    let chosen: Vec<&Figure> = FIGURES.iter().filter(|f| only.is_empty() || only.iter().any(|o| o == f.name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = FIGURES.iter().map(|f| f.name).collect();
        eprintln!("there is no such figure; there are {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let mut rows = Vec::new();
    for figure in chosen {
        match (figure.measure)(&bench) {
            Ok(measured) => rows.extend(measured),
            Err(error) => {
                eprintln!("{}: {error:#}", figure.name);
                return ExitCode::FAILURE;
            }
        }
    }
    if json {
        table::print_json(&rows)
    } else {
        table::print(&rows)
    }
    ExitCode::SUCCESS
}
