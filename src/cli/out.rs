//! Where everything that a person reads is written.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::Context;
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::peaker::Priority;
use tabled::settings::{Padding, Style, Width};

use super::diagnostic;
use super::failure::ReaderGone;
use crate::config::Problem;
use crate::engine::Channel;

/// Standard output: what is asked for, and nothing else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    width: Option<usize>,
    colour: bool,
}

impl Out {
    /// `no_color` is the value of `NO_COLOR`: anything but nothing forbids colours.
    pub(super) fn new(no_color: Option<&str>, term: Option<&str>) -> Self {
        let terminal = io::stdout().is_terminal();
        let width = terminal
            .then(|| rustix::termios::tcgetwinsize(io::stdout()).ok())
            .flatten()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns >= 20);
        let colour = terminal && no_color.is_none_or(str::is_empty) && term != Some("dumb");
        Self { width, colour }
    }

    /// One line.
    pub(super) fn line(self, text: impl Display) -> anyhow::Result<()> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Bytes as they are, at once.
    pub(super) fn bytes(self, bytes: &[u8]) -> anyhow::Result<()> {
        written(&mut io::stdout().lock(), bytes)
    }

    /// A piece of a job's output, on the stream that the job wrote it to.
    pub(super) fn piece(self, channel: Channel, bytes: &[u8]) -> anyhow::Result<()> {
        match channel {
            Channel::Out => self.bytes(bytes),
            Channel::Err => written(&mut io::stderr().lock(), bytes),
        }
    }

    /// A document for programs.
    pub(super) fn json(self, document: &impl Serialize) -> anyhow::Result<()> {
        self.line(serde_json::to_string_pretty(document).context("failed to write the document")?)
    }

    /// A table; cells wrap where the terminal is too narrow. Nothing but the head when there are no rows.
    pub(super) fn table<const N: usize>(
        self,
        head: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> anyhow::Result<()> {
        let table = table(head, rows, self.width);
        self.line(table)
    }

    /// A problem as a compiler shows it.
    pub(super) fn problem(self, problem: &Problem) -> anyhow::Result<()> {
        self.line(diagnostic::shown(problem, self.width, self.colour))
    }

    /// A text in red, where colours are shown.
    pub(super) fn bad(self, text: &str) -> String {
        self.painted("31", text)
    }

    /// A text in green, where colours are shown.
    pub(super) fn good(self, text: &str) -> String {
        self.painted("32", text)
    }

    /// A text in yellow, where colours are shown.
    pub(super) fn doubtful(self, text: &str) -> String {
        self.painted("33", text)
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A remark on standard error. Nobody may be there to read it, and that changes nothing.
pub(super) fn remark(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn written(to: &mut impl Write, bytes: &[u8]) -> anyhow::Result<()> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        Err(error) => Err(error).context("failed to write the output"),
    }
}

fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>, width: Option<usize>) -> String {
    let mut builder = Builder::default();
    builder.push_record(head.map(str::to_uppercase));
    for row in rows {
        builder.push_record(row);
    }
    let mut table = builder.build();
    table.with(Style::empty()).with(Padding::new(0, 2, 0, 0));
    if let Some(width) = width {
        table.with(Width::wrap(width).keep_words(true).priority(Priority::max(true)));
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[String; 2]> {
        vec![
            ["backup".into(), "every day at three in the morning, and once more at noon".into()],
            ["x".into(), "y".into()],
        ]
    }

    #[test]
    fn columns_stand_below_each_other() {
        assert_eq!(
            table(["job", "is"], [["a".into(), "b".into()], ["long".into(), "c".into()]], None),
            "JOB   IS\na     b\nlong  c"
        );
    }

    #[test]
    fn a_table_fits_its_terminal_and_loses_nothing() {
        for width in [20, 30, 50, 200] {
            let text = table(["job", "is"], rows(), Some(width));
            assert!(text.lines().all(|l| l.chars().count() <= width), "{width}:\n{text}");
            let words: Vec<&str> = text.split_whitespace().collect();
            for word in "every day at three in the morning, and once more at noon".split(' ') {
                assert!(words.contains(&word), "{width}: {word}\n{text}");
            }
        }
    }

    #[test]
    fn colours_only_where_they_are_shown() {
        assert_eq!(Out { width: None, colour: false }.bad("x"), "x");
        assert_eq!(Out { width: None, colour: true }.bad("x"), "\x1b[31mx\x1b[0m");
    }
}
