//! One run's output as the writer holds it: its open spool, and how its log is kept.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;

use super::LogTarget;
use crate::run::RunId;
use crate::runner::joblog;
use crate::runner::projection::Projector;

/// How the log of a run is kept.
#[derive(Debug)]
pub(super) enum Log {
    /// It has none.
    None,
    /// Text is appended as it comes.
    Live(LogTarget, Box<Projector>),
    /// It could not be written; it is made up from the spool later.
    Behind(LogTarget),
    /// All is in.
    Done(PathBuf),
}

/// What became of a log at the end of its run.
#[derive(Debug)]
pub(super) enum Closed {
    /// All is in.
    Complete(Option<PathBuf>),
    /// It follows when it can be written.
    Late,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: File,
    pub(super) buffer: Vec<u8>,
    pub(super) ended: bool,
    pub(super) log: Log,
    pub(super) broken: Arc<AtomicBool>,
}

pub(super) fn write_spool(open: &mut Open) -> Result<()> {
    open.file.write_all(&open.buffer)?;
    open.buffer.clear();
    Ok(())
}

pub(super) fn append(target: &LogTarget, run: &RunId, projector: &mut Projector) -> Result<()> {
    let (before, text) = projector.waiting();
    if !text.is_empty() {
        joblog::append(&target.path, run, before, text)?;
    }
    projector.written();
    Ok(())
}
