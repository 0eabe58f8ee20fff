//! The picture for those who look: drawn when something has changed, and not too often.

use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use super::Daemon;
use crate::daemon::snapshot::Board;
use crate::engine::{Host, Runs};

/// Least time between two pictures: a thousand ends in a second are not a thousand pictures.
const PAUSE: Duration = Duration::from_millis(50);

/// What is known of the last picture.
#[derive(Debug)]
pub(super) struct Shown {
    board: Board,
    /// Something has changed since.
    stale: bool,
    at: Option<Instant>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { board: Board::default(), stale: true, at: None }
    }
}

impl Shown {
    pub(super) const fn board(&mut self) -> &mut Board {
        &mut self.board
    }
}

impl<E: Runs + Host + 'static> Daemon<E> {
    /// Notes that the picture is not right any more.
    pub(in crate::daemon) const fn touch(&mut self) {
        self.shown.stale = true;
    }

    /// When the next picture is to be drawn, if anything has changed.
    pub(in crate::daemon) fn next_picture(&self) -> Option<Instant> {
        self.shown.stale.then(|| self.shown.at.map_or_else(Instant::now, |at| at + PAUSE))
    }

    /// Draws the picture anew, if anything has changed and the last one is old enough.
    pub(in crate::daemon) fn show(&mut self) {
        if self.next_picture().is_none_or(|at| at > Instant::now()) {
            return;
        }
        if let Some(in_force) = &self.in_force
            && !self.shown.board.is_of(in_force)
        {
            self.shown.board = Board::new(in_force, &self.last);
        }
        let jobs = self.in_force.as_ref().map(|in_force| in_force.loaded.jobs.as_slice()).unwrap_or_default();
        let runs = self.runner.as_ref().map(|runner| (runner.running(), runner.waiting())).unwrap_or_default();
        let picture = self.shown.board.draw(jobs, runs, &self.reasons, self.lease.generation(), Utc::now());
        self.shown.stale = false;
        self.shown.at = Some(Instant::now());
        // Sent even when it is the same: whoever waits for a run looks it up again at each picture.
        self.pictures.send_replace(picture);
    }
}
