//! Opening, and what happens to a file that is corrupt.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::Utc;
use rusqlite::{Connection, ErrorCode};

use super::thread::Thread;
use super::{FILE, Store, schema};

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where the file that was found lies now, if it was corrupt and a new one had to be begun.
    pub set_aside: Option<PathBuf>,
}

pub(super) fn open(state_dir: &Path) -> Result<Opened> {
    fs::create_dir_all(state_dir).with_context(|| format!("failed to create {}", state_dir.display()))?;
    let path = state_dir.join(FILE);
    let (connection, set_aside) = match connect(&path) {
        Ok(connection) => (connection, None),
        Err(error) if is_corrupt(&error) => {
            let aside = set_aside(&path)?;
            (connect(&path)?, Some(aside))
        }
        Err(error) => return Err(error).with_context(|| format!("failed to open {}", path.display())),
    };
    Ok(Opened { store: Store { thread: Thread::start(connection)? }, set_aside })
}

fn connect(path: &Path) -> Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(Corrupt(found).into());
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.set_prepared_statement_cache_capacity(64);
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// What the integrity check found.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Corrupt(String);

fn is_corrupt(error: &anyhow::Error) -> bool {
    let by_sqlite = error
        .downcast_ref::<rusqlite::Error>()
        .and_then(rusqlite::Error::sqlite_error_code)
        .is_some_and(|code| matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase));
    by_sqlite || error.is::<Corrupt>()
}

/// Moves the file and its companions away; they may still be read by a person.
fn set_aside(path: &Path) -> Result<PathBuf> {
    let mark = format!("corrupt-{}", Utc::now().format("%Y%m%dT%H%M%SZ"));
    let named = |suffix: &str, mark: &str| PathBuf::from(format!("{}{suffix}{mark}", path.display()));
    for suffix in ["-wal", "-shm"] {
        let from = named(suffix, "");
        if from.exists() {
            fs::rename(&from, named(&format!(".{mark}"), suffix))
                .with_context(|| format!("failed to set {} aside", from.display()))?;
        }
    }
    let aside = named(".", &mark);
    fs::rename(path, &aside).with_context(|| format!("failed to set {} aside", path.display()))?;
    Ok(aside)
}
