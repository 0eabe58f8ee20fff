//! The file that people `tail`: `<log dir>/<job>.log`. One lock and one note beside it make sure
//! that nothing is written twice and that rotation loses nothing.
//!
//! Before each append the note says how long the file is and how long the appended text will be;
//! after a crash the file's length tells how much of it is in.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::projection::Progress;
use crate::run::RunId;
use crate::store::disk;

/// How long the lock is waited for. Rotation holds it while it cuts, not while it copies.
const PATIENCE: Duration = Duration::from_secs(2);

/// The note beside a log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pos {
    /// Inode of the log.
    pub inode: u64,
    /// Its length before the last append.
    pub size: u64,
    /// Length of the last append.
    pub length: u64,
    /// The run whose text it was.
    pub run: Option<RunId>,
    /// How far each run is that writes here.
    pub runs: BTreeMap<RunId, Progress>,
}

impl Pos {
    /// Books what is in of the last append, after which the file may be cut or replaced freely.
    fn settle(&mut self, log: &fs::Metadata) {
        let Some(run) = self.run.take() else { return };
        let whole = log.ino() != self.inode || log.len() < self.size;
        // Cut or replaced since: the append is taken as done, for it follows the note within microseconds.
        let inside = if whole { self.length } else { (log.len() - self.size).min(self.length) };
        if let Some(progress) = self.runs.get_mut(&run) {
            progress.extra += inside;
        }
    }
}

/// The path of the note beside a log.
pub fn pos_path(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".pos");
    path.into()
}

/// Calls `work` with a log and its note, under the lock that every writer of the log takes; the
/// note is settled, so that the file may be cut, and is written back when `work` changed it.
///
/// # Errors
/// When the log or its note cannot be written, when another process holds the lock for longer
/// than two seconds, and when `work` fails.
pub fn with_lock<T>(log: &Path, work: impl FnOnce(&mut File, &mut Pos) -> Result<T>) -> Result<T> {
    let about = || format!("failed to write the log {}", log.display());
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(about)?;
    }
    let mut file = locked(log)?;
    let mut pos = read_pos(log);
    let before = pos.clone();
    pos.settle(&file.metadata().with_context(about)?);
    let value = work(&mut file, &mut pos)?;
    if pos != before && pos.run.is_none() {
        write_pos(log, &pos)?;
    }
    Ok(value)
}

/// Holds a log against its writers for as long as the result lives; the note is settled and durable,
/// so that the file may be cut.
///
/// # Errors
/// As [`with_lock`].
pub fn settled(log: &Path) -> Result<File> {
    let file = locked(log)?;
    let mut pos = read_pos(log);
    let before = pos.clone();
    pos.settle(&file.metadata()?);
    if pos != before {
        write_pos(log, &pos)?;
        File::open(pos_path(log))?.sync_data()?;
    }
    Ok(file)
}

/// How far a run's text is in the log, `None` when nothing of it is.
///
/// # Errors
/// As [`with_lock`].
pub fn progress(log: &Path, run: &RunId) -> Result<Option<Progress>> {
    with_lock(log, |_, pos| Ok(pos.runs.get(run).cloned()))
}

/// Appends text of a run; `before` is how far the run was before it. On failure the file is as it was.
///
/// # Errors
/// As [`with_lock`].
pub fn append(log: &Path, run: &RunId, before: &Progress, text: &[u8]) -> Result<()> {
    with_lock(log, |file, pos| {
        let data = file.metadata()?;
        pos.inode = data.ino();
        pos.size = data.len();
        pos.length = text.len() as u64;
        pos.run = Some(run.clone());
        pos.runs.insert(run.clone(), before.clone());
        disk::check_room(&*file).with_context(|| format!("failed to write the log {}", log.display()))?;
        write_pos(log, pos)?;
        fail::fail_point!("log.noted");
        if let Err(error) = file.write_all(text) {
            // Some of it may be in, as on a full disk.
            file.set_len(pos.size).ok();
            return Err(error).with_context(|| format!("failed to write the log {}", log.display()));
        }
        if pos.size == 0 {
            // To the next look a log that a stranger emptied would be one that the text never reached.
            pos.settle(&file.metadata()?);
            write_pos(log, pos)?;
        }
        Ok(())
    })
}

/// Drops what the note says of a run that is over.
///
/// # Errors
/// As [`with_lock`].
pub fn forget(log: &Path, run: &RunId) -> Result<()> {
    with_lock(log, |_, pos| {
        pos.runs.remove(run);
        Ok(())
    })
}

/// Opens the file that bears this name now, locked.
fn locked(log: &Path) -> Result<File> {
    let about = || format!("failed to open the log {}", log.display());
    let begun = Instant::now();
    loop {
        let file = File::options().read(true).append(true).create(true).open(log).with_context(about)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                // A lock of another process: the kernel offers no wait with a limit.
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(TryLockError::WouldBlock) => bail!("the log {} is locked by another process", log.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(about),
        }
        // It may have been renamed while its lock was waited for.
        match fs::metadata(log) {
            Ok(named) if named.ino() == file.metadata().with_context(about)?.ino() => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(about),
        }
    }
}

/// A note that is missing or damaged says nothing: text may then stand twice, but none is lost.
fn read_pos(log: &Path) -> Pos {
    let mut text = String::new();
    let read = File::open(pos_path(log)).and_then(|mut file| file.read_to_string(&mut text));
    let line = text.lines().next().filter(|_| read.is_ok());
    line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
}

/// One write of one line; what an older, longer line leaves behind it is not read. A full disk may
/// take a part of a longer one: then the old one is put back, for which there is room.
fn write_pos(log: &Path, pos: &Pos) -> Result<()> {
    let path = pos_path(log);
    let about = || format!("failed to write {}", path.display());
    let mut text = serde_json::to_vec(pos)?;
    text.push(b'\n');
    let old = fs::read(&path).unwrap_or_default();
    let mut file = File::options().write(true).create(true).truncate(false).open(&path).with_context(about)?;
    let mut write = |text: &[u8]| file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(text));
    write(&text).inspect_err(|_| write(&old).unwrap_or_default()).with_context(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str) -> RunId {
        RunId(id.to_owned())
    }

    fn extra(log: &Path, id: &str) -> u64 {
        progress(log, &run(id)).unwrap().unwrap().extra
    }

    #[test]
    fn the_note_tells_how_much_is_in() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("logs/a.log");
        append(&log, &run("r"), &Progress::default(), b"0123456789").unwrap();
        assert_eq!(extra(&log, "r"), 10);
        // A crash within the next append: the note is written, half of the text is.
        let before = Progress { out: 10, ..Progress::default() };
        append(&log, &run("r"), &before, b"abcdef").unwrap();
        File::options().write(true).open(&log).unwrap().set_len(13).unwrap();
        assert_eq!(extra(&log, "r"), 3);
        assert_eq!(extra(&log, "r"), 3, "looking changes nothing");
        // Another run appends: what is known of the first one stays.
        append(&log, &run("s"), &Progress::default(), b"other").unwrap();
        assert_eq!((extra(&log, "r"), extra(&log, "s")), (3, 5));
        forget(&log, &run("r")).unwrap();
        assert_eq!(progress(&log, &run("r")).unwrap(), None);
    }

    #[test]
    fn rotation_keeps_the_note_true() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        append(&log, &run("r"), &Progress::default(), b"0123456789").unwrap();
        with_lock(&log, |file, _| Ok(file.set_len(0)?)).unwrap();
        assert_eq!(extra(&log, "r"), 10, "cut under the lock");
        append(&log, &run("r"), &Progress { out: 10, ..Progress::default() }, b"abc").unwrap();
        fs::rename(&log, dir.path().join("a.log.1")).unwrap();
        assert_eq!(extra(&log, "r"), 3, "replaced by a stranger");
    }

    #[test]
    fn a_held_lock_is_an_error_and_not_a_hang() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        let holder = File::create(&log).unwrap();
        holder.lock().unwrap();
        let error = append(&log, &run("r"), &Progress::default(), b"x").unwrap_err();
        assert!(error.to_string().contains("locked by another process"), "{error}");
        drop(holder);
        append(&log, &run("r"), &Progress::default(), b"x").unwrap();
    }

    #[test]
    fn a_damaged_note_is_no_note() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        append(&log, &run("r"), &Progress::default(), b"x").unwrap();
        // Emptied by a stranger right after the first text.
        fs::write(&log, "").unwrap();
        assert_eq!(extra(&log, "r"), 1);
        fs::write(pos_path(&log), b"{\"inode\":").unwrap();
        assert_eq!(progress(&log, &run("r")).unwrap(), None);
    }
}
