//! Where output flows from the engine into a lane, over as many passes as it takes.

use super::output::Lane;
use super::perform::{Setback, Stepped};
use super::spool::{Cursor, Filter};
use crate::engine::{EngineError, Frame};

/// Pieces that are handed on together.
pub(super) const CHUNK: usize = 16;

/// A lane and how far its output has come.
pub(super) struct Tap {
    pub(super) lane: Lane,
    /// Bytes so far, those of before included.
    pub(super) bytes: u64,
    cursor: Cursor,
    filter: Filter,
}

impl Tap {
    pub(super) fn new(lane: Lane) -> Self {
        let cursor = lane.stored.cursor;
        Self { bytes: lane.stored.bytes, cursor, filter: cursor.filter(), lane }
    }

    /// Begins a pass, and gives the time from which to ask.
    pub(super) fn begin(&mut self) -> i64 {
        self.filter = self.cursor.filter();
        self.cursor.since()
    }

    /// Stores what is new of a chunk; tells whether more may come.
    pub(super) async fn take(
        &mut self,
        chunk: Option<Vec<Result<Frame, EngineError>>>,
        note: &mut Option<String>,
    ) -> Stepped<bool> {
        let Some(chunk) = chunk else { return Ok(false) };
        let mut pieces = Vec::with_capacity(chunk.len());
        let mut failed = None;
        for piece in chunk {
            match piece {
                Ok(piece) => {
                    if self.filter.is_new(&piece) {
                        self.bytes += piece.bytes.len() as u64;
                        self.cursor.stored(&piece);
                        pieces.push(piece);
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        if !pieces.is_empty() {
            self.lane.push(pieces).await.map_err(Setback::Passing)?;
        }
        match failed {
            None => Ok(true),
            Some(error @ (EngineError::Unavailable(_) | EngineError::Protocol(_))) => Err(error.into()),
            Some(error) => {
                // Such as a log driver that cannot be read, or a container that is gone.
                *note = Some(format!("output incomplete: {error}"));
                Ok(false)
            }
        }
    }
}
