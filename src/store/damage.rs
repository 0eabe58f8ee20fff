//! Damage that is found while the store is in use.
//!
//! There is one way out of it, and that is the start: a mark beside the file says that it is to be set
//! aside, and runs are rebuilt from their containers as after any loss.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::FILE;

/// Knows whether damage was found. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Damage {
    mark: PathBuf,
    what: Arc<Mutex<Option<String>>>,
}

impl Damage {
    /// None found yet.
    pub(super) fn none(state_dir: &Path) -> Self {
        Self { mark: mark(state_dir), what: Arc::default() }
    }

    /// What was found.
    pub(super) fn found(&self) -> Option<String> {
        self.what.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of an error, if it speaks of damage.
    pub(super) fn judge(&self, error: &anyhow::Error) {
        if is_corrupt(error) {
            self.note(format!("{error:#}"));
        }
    }

    fn note(&self, what: String) {
        let mut known = self.what.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            tracing::error!("the store is damaged: {what}");
            if let Err(error) = File::create(&self.mark) {
                tracing::error!("it cannot be marked: {error}");
            }
            *known = Some(what);
        }
    }

    /// Checks the whole file beside its use.
    pub(super) fn check_beside(&self, state_dir: &Path) {
        let (damage, path) = (self.clone(), state_dir.join(FILE));
        let check = move || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let checked = Connection::open_with_flags(path, flags).map_err(Into::into).and_then(|c| check(&c));
            if let Err(error) = checked {
                damage.judge(&error);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("integrity".to_owned()).spawn(check) {
            tracing::warn!("the store could not be checked: {error}");
        }
    }
}

/// The mark of a store that is to be set aside.
pub(super) fn mark(state_dir: &Path) -> PathBuf {
    state_dir.join(format!("{FILE}.damaged"))
}

/// Forgets the mark.
pub(super) fn unmark(state_dir: &Path) {
    // It stands for the next start otherwise, which sets aside a good store: better than a bad one.
    if let Err(error) = fs::remove_file(mark(state_dir))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("the mark of the damaged store cannot be removed: {error}");
    }
}

/// Reads all pages.
///
/// # Errors
/// [`Corrupt`], or what SQLite says.
pub(super) fn check(connection: &Connection) -> anyhow::Result<()> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(Corrupt(found).into()) }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Corrupt(pub(super) String);

/// Whether an error speaks of damage, and not of a disk or a lock.
pub(super) fn is_corrupt(error: &anyhow::Error) -> bool {
    code(error).is_some_and(|code| matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || error.is::<Corrupt>()
}

/// Whether an error speaks of a full disk.
pub(super) fn is_full(error: &anyhow::Error) -> bool {
    code(error) == Some(ErrorCode::DiskFull)
}

/// Whether an error may be that of a full disk at opening: the index of the log cannot grow then.
pub(super) fn may_be_full(error: &anyhow::Error) -> bool {
    use ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
    let full = |e: &std::io::Error| e.kind() == std::io::ErrorKind::StorageFull;
    code(error).is_some_and(|code| matches!(code, DiskFull | SystemIoFailure | CannotOpen))
        || error.chain().any(|e| e.downcast_ref().is_some_and(full))
}

fn code(error: &anyhow::Error) -> Option<ErrorCode> {
    error.chain().find_map(|e| e.downcast_ref::<rusqlite::Error>()).and_then(rusqlite::Error::sqlite_error_code)
}
