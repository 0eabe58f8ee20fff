//! The rotation of one log, and the end of one that was killed.
//!
//! ```text
//!                           durable after it                  killed after it: the next run
//! plan                      journal: copying                  removes the temporary file
//! copy, fsync               temporary file                    the same
//! record                    journal: archived                 the same
//! publish (rename, fsync)   archive                           compares log and archive: still whole,
//! save the tail             tail (raw, in the state dir)      so it saves the tail anew and cuts
//! cut                       log emptied                       appends the saved tail to the archive
//! pack the tail, fsync      archive with tail                 notes that the rotation is done
//! ```

use std::ffi::OsString;
use std::fs::{File, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::cut::{cut, is_ours};
use super::folder::Folder;
use super::journal::{Archived, Desk, Plan, Rotation};
use super::name::temporary;
use super::pack::{self, Packer};

/// A tail of so many bytes is short.
const SHORT: u64 = 4 << 20;

/// What was done last; for tests that kill a rotation everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The journal names the temporary file.
    Planned,
    /// The temporary file is whole.
    Copied,
    /// The journal names the archive.
    Recorded,
    /// The archive has its name.
    Published,
    /// What the log got since is saved.
    TailSaved,
    /// The log was cut.
    Cut,
    /// The archive has the tail.
    TailPacked,
    /// The state names the rotation.
    Remembered,
}

/// A rotation that went through.
#[derive(Debug)]
pub struct Done {
    /// What it was about.
    pub plan: Plan,
    /// Bytes of the log that are in the archive.
    pub before: u64,
    /// Bytes of the archive.
    pub after: u64,
    /// What people should know about it.
    pub remark: Option<String>,
}

/// Hears of each step.
pub type Watch<'a> = &'a mut dyn FnMut(Step);

/// Rotates the first bytes of a log, up to `end` and what follows until it is cut.
///
/// # Errors
/// When it cannot be done; the log is then whole, and nothing is left of the attempt unless the
/// journal says so.
pub fn rotate(desk: &Desk, folder: &Folder, plan: Plan, log: &File, end: u64, watch: Watch) -> Result<Done> {
    desk.journal.write(&Rotation::Copying(plan.clone()))?;
    watch(Step::Planned);
    match archive(desk, folder, plan, log, end, watch) {
        Ok(archived) => finish(desk, folder, archived, log, watch),
        Err(error) => Err(undone(desk, folder, error)),
    }
}

/// Finishes or takes back what a killed rotation left. `None`: nothing was to be finished.
///
/// # Errors
/// When neither can be done; the journal then still stands.
pub fn recover(desk: &Desk, watch: Watch) -> Result<Option<(Done, Folder)>> {
    let Some(rotation) = desk.journal.read()? else {
        desk.drop_tail()?; // a tail never exists without a journal
        return Ok(None);
    };
    let (Rotation::Copying(plan) | Rotation::Archived(Archived { plan, .. })) = &rotation;
    let folder = Folder::open(Path::new(&plan.folder))
        .with_context(|| format!("failed to open {}", Path::new(&plan.folder).display()))?;
    match rotation {
        Rotation::Archived(archived)
            if folder.look(&archived.plan.archive)?.is_some_and(|stat| stat.st_ino == archived.archive_inode) =>
        {
            Ok(Some((resume(desk, &folder, archived, watch)?, folder)))
        }
        _ => desk.undo(&folder).map(|()| None),
    }
}

fn resume(desk: &Desk, folder: &Folder, archived: Archived, watch: Watch) -> Result<Done> {
    let plan = &archived.plan;
    let log = match folder.look(&plan.log)? {
        Some(stat) if stat.st_ino == plan.inode => folder.open_file(&plan.log)?,
        _ => return pack_tail(desk, folder, archived, None, watch), // moved away or gone: nothing to cut
    };
    let archive = folder.open_file(&plan.archive)?;
    let whole = log.metadata()?.len() >= archived.end
        && pack::holds(&log, plan.start, &archive, archived.packed)
            .with_context(|| format!("failed to compare with {}", super::shown(&plan.archive)))?;
    if whole {
        archive.set_len(archived.packed)?;
        finish(desk, folder, archived, &log, watch)
    } else {
        log.sync_all()?;
        pack_tail(desk, folder, archived, None, watch)
    }
}

/// Everything up to the archive under its final name.
fn archive(desk: &Desk, folder: &Folder, plan: Plan, log: &File, end: u64, watch: Watch) -> Result<Archived> {
    let temporary = temporary(&plan.archive);
    folder.remove(&temporary)?;
    let mut packer = Packer::new(folder.create(&temporary)?, plan.level);
    let mut end = end;
    let copied = pack::copy(log, plan.start..end, &mut packer)?;
    ensure!(plan.start + copied == end, "somebody else cut it while it was copied");
    if !is_ours(folder, &plan.log)? {
        // What came meanwhile is packed too, so that the tail, which is not, stays short; as long as
        // that is a race to win.
        let mut last = copied;
        loop {
            let size = log.metadata()?.len();
            let more = size.saturating_sub(end);
            if more < SHORT || more > last / 2 {
                break;
            }
            let copied = pack::copy(log, end..size, &mut packer)?;
            ensure!(copied == more, "somebody else cut it while it was copied");
            (end, last) = (size, more);
        }
    }
    let file = packer.finish()?;
    keep_owner(&file, &log.metadata()?)?;
    keep_time(&file, log)?;
    file.sync_all()?;
    watch(Step::Copied);

    let now = folder.look(&plan.log)?.map(|stat| stat.st_ino);
    ensure!(now == Some(plan.inode), "somebody else moved it while it was copied");
    let about = file.metadata()?;
    let archived = Archived { archive_inode: about.ino(), packed: about.len(), end, plan };
    desk.journal.write(&Rotation::Archived(archived.clone()))?;
    watch(Step::Recorded);
    folder.publish(&temporary, &archived.plan.archive)?;
    folder.sync()?;
    watch(Step::Published);
    Ok(archived)
}

/// From a published archive of a whole log to the end.
fn finish(desk: &Desk, folder: &Folder, archived: Archived, log: &File, watch: Watch) -> Result<Done> {
    match cut(desk, folder, &archived, log, watch) {
        Ok(remark) => {
            log.sync_all().context("failed to make the cut durable")?;
            pack_tail(desk, folder, archived, remark, watch)
        }
        Err(error) => Err(undone(desk, folder, error)),
    }
}

/// Puts the saved tail behind the archive. The log is cut by now.
fn pack_tail(desk: &Desk, folder: &Folder, archived: Archived, remark: Option<String>, watch: Watch) -> Result<Done> {
    let Archived { plan, packed, end, .. } = archived;
    let archive = folder.open_file(&plan.archive)?;
    let tail = File::open(&desk.tail).ok();
    let mut before = end - plan.start;
    if let Some(tail) = tail {
        let more = tail.metadata()?.len();
        if more > 0 {
            let time = archive.metadata()?.modified()?;
            pack::append(&archive, packed, &tail, plan.level)
                .with_context(|| format!("failed to complete {}", super::shown(&plan.archive)))?;
            archive.set_modified(time)?;
            before += more;
        }
        desk.drop_tail()?;
    }
    watch(Step::TailPacked);
    Ok(Done { before, after: archive.metadata()?.len(), remark, plan })
}

fn undone(desk: &Desk, folder: &Folder, error: anyhow::Error) -> anyhow::Error {
    match desk.undo(folder) {
        Ok(()) => error,
        Err(again) => error.context(format!("and it could not be taken back yet: {again:#}")),
    }
}

/// Gives a file the owner and the mode of another one. Whoever is not root keeps what he may.
fn keep_owner(file: &File, of: &Metadata) -> Result<()> {
    match fchown(file, Some(of.uid()), Some(of.gid())) {
        Err(error) if error.kind() != ErrorKind::PermissionDenied => return Err(error.into()),
        _ => {}
    }
    Ok(file.set_permissions(Permissions::from_mode(of.mode() & 0o777))?)
}

fn keep_time(file: &File, of: &File) -> Result<()> {
    Ok(file.set_modified(of.metadata()?.modified()?)?)
}

/// Names of files in a folder that rotations left there when they lost their journal.
pub fn leftovers(names: &[OsString]) -> impl Iterator<Item = &OsString> {
    names.iter().filter(|name| super::name::is_temporary(name))
}
