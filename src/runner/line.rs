//! What a row waits for, and the line in which the runs of one job stand. Pure.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};

use crate::run::Occurrence;

/// What a row waits for. It names who is right before it in the line: so it changes only when it
/// is that one's turn, however long the line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why<'a> {
    /// A run of the same job, planned for this instant.
    Run(DateTime<Utc>),
    /// A lock.
    Lock {
        /// Its name.
        name: &'a str,
        /// Who holds it, or waits for it right before this row.
        before: &'a Occurrence,
        /// Whether that one holds it.
        held: bool,
    },
    /// Its turn to be caught up.
    Turn(&'a Occurrence),
    /// One of so many places.
    Place(usize),
}

impl Why<'_> {
    /// A number that is another one for another reason.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(planned) => write!(f, "the run of {}", planned.format("%FT%TZ")),
            Self::Lock { name, before, held: true } => write!(f, "the lock {name}, held by {before}"),
            Self::Lock { name, before, held: false } => write!(f, "the lock {name}, after {before}"),
            Self::Turn(before) => write!(f, "its turn to catch up, after {before}"),
            Self::Place(cap) => write!(f, "a free place: {cap} of {cap} are taken"),
        }
    }
}

/// The runs of one job that have no end yet, in their order. Each may have several rows.
#[derive(Debug, Default)]
pub(super) struct Line<'a> {
    rows: usize,
    /// Rows of each occurrence.
    of: HashMap<(i64, u32), usize>,
    last: Option<&'a Occurrence>,
    /// The last one that is not of the same occurrence as `last`.
    other: Option<&'a Occurrence>,
}

const fn key(occurrence: &Occurrence) -> (i64, u32) {
    (occurrence.planned_for.timestamp(), occurrence.era)
}

impl<'a> Line<'a> {
    pub(super) fn push(&mut self, occurrence: &'a Occurrence) {
        self.rows += 1;
        *self.of.entry(key(occurrence)).or_default() += 1;
        if let Some(last) = self.last.filter(|last| key(last) != key(occurrence)) {
            self.other = Some(last);
        }
        self.last = Some(occurrence);
    }

    /// How many rows of other occurrences there are, and the last of them; `None` without any.
    pub(super) fn others(&self, than: &Occurrence) -> Option<(usize, &'a Occurrence)> {
        let last = self.last.filter(|last| key(last) != key(than)).or(self.other)?;
        Some((self.rows - self.of.get(&key(than)).copied().unwrap_or_default(), last))
    }
}
