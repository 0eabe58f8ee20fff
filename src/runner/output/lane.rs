//! One run's output as the writer holds it: its open spool, and how its log is kept.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use tokio::sync::OwnedSemaphorePermit;

use super::LogTarget;
use crate::engine::Frame;
use crate::run::RunId;
use crate::runner::joblog;
use crate::runner::projection::Projector;
use crate::runner::spool::{self, Record};
use crate::store::disk;

/// Bytes that are gathered for one write.
pub(super) const BATCH: usize = 256 << 10;

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

/// A run whose output comes in.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: File,
    /// Pieces that are still to be written.
    waiting: Vec<Frame>,
    /// Their share of the budget, given back when they are written.
    share: Option<OwnedSemaphorePermit>,
    pub(super) ended: bool,
    pub(super) log: Log,
    pub(super) broken: Arc<AtomicBool>,
}

impl Open {
    pub(super) const fn new(file: File, ended: bool, log: Log, broken: Arc<AtomicBool>) -> Self {
        Self { file, waiting: Vec::new(), share: None, ended, log, broken }
    }

    /// Takes pieces to be written at the next [`Open::flush`].
    pub(super) fn push(&mut self, mut pieces: Vec<Frame>, share: OwnedSemaphorePermit) {
        match &mut self.share {
            Some(all) => all.merge(share),
            None => self.share = Some(share),
        }
        if self.waiting.is_empty() {
            self.waiting = pieces;
        } else {
            self.waiting.append(&mut pieces);
        }
    }

    /// Writes what waits. Spool first, log second: the log holds nothing that the spool lacks.
    /// Gives why the log could not be written, if so.
    ///
    /// # Errors
    /// When the spool cannot be written. Nothing more may be written to it then, before its torn
    /// tail is cut.
    pub(super) fn flush(&mut self, run: &RunId, scratch: &mut Vec<u8>) -> Result<Option<anyhow::Error>> {
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            disk::check_room(&self.file)?;
        }
        let mut behind = None;
        let mut batch = Vec::new();
        for piece in waiting {
            let piece = Record::Piece(piece);
            spool::write(scratch, &piece)?;
            let Record::Piece(piece) = piece else { continue };
            batch.push(piece);
            if scratch.len() >= BATCH {
                self.write(run, scratch, &mut batch, &mut behind)?;
            }
        }
        self.write(run, scratch, &mut batch, &mut behind)?;
        self.share = None;
        Ok(behind)
    }

    fn write(
        &mut self,
        run: &RunId,
        scratch: &mut Vec<u8>,
        batch: &mut Vec<Frame>,
        behind: &mut Option<anyhow::Error>,
    ) -> Result<()> {
        let written = self.file.write_all(scratch);
        scratch.clear();
        written.context("its spool cannot be written")?;
        fail::fail_point!("run.spooled");
        if let (Log::Live(target, projector), None) = (&mut self.log, &behind) {
            batch.iter().for_each(|piece| projector.feed(piece));
            *behind = append(target, run, projector).err();
        }
        batch.clear();
        Ok(())
    }
}

/// Appends a projector's text to its log.
///
/// # Errors
/// When the log cannot be written; the text waits then.
pub(super) fn append(target: &LogTarget, run: &RunId, projector: &mut Projector) -> Result<()> {
    let (before, text) = projector.waiting();
    if !text.is_empty() {
        joblog::append(&target.path, run, before, text)?;
    }
    projector.written();
    Ok(())
}
