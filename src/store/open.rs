//! Opening, and what happens to a file that is corrupt.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::Utc;
use rusqlite::Connection;

use super::damage::{self, Corrupt, Damage, is_corrupt, may_be_full};
use super::disk::Ballast;
use super::thread::Thread;
use super::{FILE, Store, schema, stopped};

/// Says in the file whose it is: "tndr".
const APPLICATION: i32 = 0x746e_6472;

/// A larger file is checked beside its use: a gigabyte takes seconds.
const LARGE: u64 = 16 << 20;

/// What the log of the store keeps of its room after a checkpoint, in bytes.
const LOG: i64 = 4 << 20;

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where the file that was found lies now, if it was corrupt and a new one had to be begun.
    pub set_aside: Option<PathBuf>,
    /// Whether it may have held notes about stopped services that could not be read: those stay down.
    pub notes_lost: bool,
}

pub(super) fn open(state_dir: &Path) -> Result<Opened> {
    fs::create_dir_all(state_dir).with_context(|| format!("failed to create {}", state_dir.display()))?;
    let ballast = Ballast::new(state_dir);
    let path = state_dir.join(FILE);
    let mut aside = Aside::default();
    let opened = match open_or_begin(state_dir, &path, &mut aside) {
        Err(error) if may_be_full(&error) && ballast.give_up() => open_or_begin(state_dir, &path, &mut aside),
        answer => answer,
    };
    let connection = opened.with_context(|| format!("failed to open {}", path.display()))?;
    let damage = Damage::none(state_dir);
    if fs::metadata(&path)?.len() >= LARGE {
        damage.check_beside(state_dir);
    }
    let store = Store { thread: Thread::start(connection, ballast, damage)? };
    Ok(Opened { store, set_aside: aside.path, notes_lost: aside.notes_lost })
}

/// What became of a file that is corrupt, also over a second attempt.
#[derive(Debug, Default)]
struct Aside {
    path: Option<PathBuf>,
    notes_lost: bool,
}

fn open_or_begin(state_dir: &Path, path: &Path, aside: &mut Aside) -> Result<Connection> {
    if damage::mark(state_dir).exists() {
        aside.path = set_aside(path)?.or(aside.path.take());
        damage::unmark(state_dir);
    }
    if !path.exists() {
        // The log of a file that is gone would be played into the new one.
        aside.path = aside.path.take().or(set_aside(path)?);
        begin(path, aside)?;
    }
    match connect(path) {
        Err(error) if is_corrupt(&error) => {
            tracing::error!("the store is damaged: {error:#}");
            aside.path = set_aside(path)?;
            begin(path, aside)?;
            connect(path)
        }
        answer => answer,
    }
}

/// Makes a new store under another name first: a file without tables is then never one of ours. It
/// takes over what can still be read about services that were stopped: nobody else knows that they
/// are to be started again.
fn begin(path: &Path, aside: &mut Aside) -> Result<()> {
    let new = named(path, ".new");
    for left in [&new, &named(&new, "-journal"), &named(&new, "-wal"), &named(&new, "-shm")] {
        if left.exists() {
            fs::remove_file(left).with_context(|| format!("failed to remove {}", left.display()))?;
        }
    }
    let mut connection = Connection::open(&new)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    schema::migrate(&mut connection)?;
    if let Some(old) = &aside.path {
        let (notes, all) = stopped::rescue(old);
        notes.iter().try_for_each(|note| stopped::note(&connection, note))?;
        aside.notes_lost = !all;
    }
    connection.close().map_err(|(_, error)| error)?;
    let folder = path.parent().unwrap_or(path);
    fs::rename(&new, path)
        .and_then(|()| File::open(folder)?.sync_all())
        .with_context(|| format!("failed to create {}", path.display()))
}

fn connect(path: &Path) -> Result<Connection> {
    if path.is_dir() {
        return Err(Corrupt("it is a folder".to_owned()).into());
    }
    let length = fs::metadata(path)?.len();
    if length == 0 {
        return Err(Corrupt("it is empty".to_owned()).into());
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    // The first releases did not say whose it is.
    if application != APPLICATION && !(application == 0 && connection.table_exists(None, "watermarks")?) {
        return Err(Corrupt("it is no store of ours".to_owned()).into());
    }
    if length < LARGE {
        damage::check(&connection)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", LOG)?;
    connection.set_prepared_statement_cache_capacity(64);
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// Moves the file and its companions away; they may still be read by a person. Gives where the
/// first of them lies now.
fn set_aside(path: &Path) -> Result<Option<PathBuf>> {
    let mark = Utc::now().format(".corrupt-%Y%m%dT%H%M%SZ").to_string();
    let free = (1..).map(|n| named(path, &if n == 1 { mark.clone() } else { format!("{mark}-{n}") }));
    let Some(aside) = free.into_iter().find(|aside| !aside.exists()) else { return Ok(None) };
    let mut first = None;
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (named(path, suffix), named(&aside, suffix));
        if from.exists() {
            fs::rename(&from, &to).with_context(|| format!("failed to set {} aside", from.display()))?;
            first = first.or(Some(to));
        }
    }
    Ok(first)
}

fn named(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
