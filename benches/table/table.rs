//! What is printed.

use serde::Serialize;
use tabled::Table;
use tabled::builder::Builder;
use tabled::settings::Style;

use crate::samples::{Samples, short};

/// A row of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    figure: String,
    target: String,
    measured: Option<Samples>,
    peer: Option<Peer>,
    ratio: Option<f64>,
    /// Why it was left out, or what else there is to say.
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct Peer {
    name: String,
    measured: Samples,
}

impl Row {
    pub(crate) fn new(figure: impl Into<String>, target: impl Into<String>, measured: Samples) -> Self {
        Self {
            figure: figure.into(),
            target: target.into(),
            measured: Some(measured),
            peer: None,
            ratio: None,
            note: None,
        }
    }

    /// A figure that cannot be measured here.
    pub(crate) fn left_out(figure: impl Into<String>, target: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self {
            figure: figure.into(),
            target: target.into(),
            measured: None,
            peer: None,
            ratio: None,
            note: Some(format!("left out: {why}")),
        }
    }

    pub(crate) fn beside(mut self, name: impl Into<String>, peer: Samples) -> Self {
        self.ratio = self.measured.as_ref().map(|m| m.median() / peer.median());
        self.peer = Some(Peer { name: name.into(), measured: peer });
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

pub(crate) fn print(rows: &[Row]) {
    let mut builder = Builder::default();
    builder.push_record(["figure", "target", "median (min–max)", "peer", "ratio", ""]);
    for row in rows {
        builder.push_record([
            row.figure.clone(),
            row.target.clone(),
            row.measured.as_ref().map(Samples::said).unwrap_or_default(),
            row.peer.as_ref().map(|p| format!("{}: {}", p.name, p.measured.said())).unwrap_or_default(),
            row.ratio.map(short).unwrap_or_default(),
            row.note.clone().unwrap_or_default(),
        ]);
    }
    let mut table: Table = builder.build();
    println!("{}", table.with(Style::markdown()));
}

pub(crate) fn print_json(rows: &[Row]) {
    println!("{}", serde_json::to_string_pretty(rows).unwrap_or_default());
}
