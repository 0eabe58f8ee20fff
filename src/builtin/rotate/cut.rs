//! Emptying a log whose content is safe in an archive, without losing what comes in meanwhile.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

use anyhow::{Context, Result, ensure};

use super::folder::{Folder, is_file};
use super::journal::{Archived, Desk};
use super::rotation::{Step, Watch};
use crate::journal::sync_folder_of;
use crate::runner::joblog;

/// How often a tail is made durable before the cut; a writer that never rests gets no more of them,
/// because each is time in which it writes on.
const SYNCS: u32 = 3;
/// After so many reads that each found a little more, the next one would too: the log is cut all
/// the same.
const RESTLESS: u32 = 2000;
const PIECE: usize = 256 * 1024;

/// Saves what the log got after `archived.end`, then cuts it. `Ok` once it is cut; returns a remark.
/// `Err`: the log is untouched.
///
/// # Errors
/// When the tail cannot be saved or the log not be cut.
pub fn cut(desk: &Desk, folder: &Folder, archived: &Archived, log: &File, watch: Watch) -> Result<Option<String>> {
    let about = || format!("failed to write {}", desk.tail.display());
    let new = File::options().write(true).create(true).truncate(true).mode(0o600).open(&desk.tail);
    let mut tail = new.with_context(about)?;
    sync_folder_of(&desk.tail)?;
    if !is_ours(folder, &archived.plan.log)? {
        return cut_racing(archived, log, &mut tail, watch);
    }
    // Its writer waits, and knows from the note what of its text is in, wherever that is by then.
    let held = joblog::settled(&archived.plan.path())?;
    ensure!(held.metadata()?.ino() == archived.plan.inode, "somebody else moved it while it was copied");
    cut_racing(archived, log, &mut tail, watch)
}

/// For writers that know nothing of us, and append: what they write in the instant between the last
/// read and the cut is lost. Nothing else happens in that instant.
fn cut_racing(archived: &Archived, log: &File, tail: &mut File, watch: Watch) -> Result<Option<String>> {
    let (mut at, mut syncs, mut synced, mut restless) = (archived.end, 0, true, 0);
    // More than that, and the archive is none of this log any more: it is tried again later.
    let limit = archived.end.saturating_add(1 << 30);
    let mut piece = vec![0; PIECE];
    while restless < RESTLESS {
        match log.read_at(&mut piece, at)? {
            0 if synced || syncs == SYNCS => break,
            0 => {
                tail.sync_data()?;
                (syncs, synced) = (syncs + 1, true);
            }
            read => {
                tail.write_all(&piece[..read])?;
                at += read as u64;
                synced = false;
                restless = if read < PIECE / 4 { restless + 1 } else { 0 };
                ensure!(at < limit, "its writer is faster than it can be copied");
            }
        }
    }
    watch(Step::TailSaved);
    if log.metadata()?.len() < at {
        return Ok(Some("somebody else cut it at the same time".to_owned()));
    }
    log.set_len(0)?;
    watch(Step::Cut);
    // From here on nothing may fail: the log is cut.
    let busy = "its writer never rested; what it wrote in the instant of the cut may be missing";
    Ok((!synced).then(|| busy.to_owned()))
}

/// Whether Tender writes a log itself: its note lies beside it.
///
/// # Errors
/// When the folder cannot be read.
pub fn is_ours(folder: &Folder, log: &OsStr) -> std::io::Result<bool> {
    let mut note = log.to_owned();
    note.push(".pos");
    Ok(folder.look(&note)?.is_some_and(|stat| is_file(&stat)))
}
