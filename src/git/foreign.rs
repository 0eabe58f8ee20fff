//! Files of a checkout that belong to somebody else, as a `git pull` by root leaves them.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};

/// Most entries that are looked at to explain an error.
const MOST: usize = 200_000;

/// The first entry below a checkout that another user owns, its git dir first.
pub(super) fn first(checkout: &Path, uid: u32) -> Option<(PathBuf, u32)> {
    let mut folders = vec![checkout.to_path_buf(), checkout.join(".git")];
    let mut left = MOST;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.uid() != uid {
                return Some((entry.path(), found.uid()));
            }
            if found.is_dir() && entry.file_name() != ".git" {
                folders.push(entry.path());
            }
            left = left.checked_sub(1)?;
        }
    }
    None
}

/// Gives a checkout and all that is in it to a user and group; returns how many entries had
/// another owner. Blocking. Goes from folder handle to folder handle and follows no link, so that
/// nobody can lead it elsewhere meanwhile.
///
/// # Errors
/// When an entry cannot be looked at or given away.
pub fn give(checkout: &Path, uid: u32, gid: u32) -> Result<u64> {
    let about = || format!("failed to give {} to {uid}:{gid}", checkout.display());
    let folder = rustix::fs::open(checkout, FOLDER, Mode::empty()).with_context(about)?;
    let found = rustix::fs::fstat(&folder).with_context(about)?;
    let mut changed = 0;
    if (found.st_uid, found.st_gid) != (uid, gid) {
        rustix::fs::fchown(&folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).with_context(about)?;
        changed += 1;
    }
    Ok(changed + give_inside(&folder, uid, gid).with_context(about)?)
}

const FOLDER: OFlags =
    OFlags::from_bits_retain(OFlags::DIRECTORY.bits() | OFlags::NOFOLLOW.bits() | OFlags::CLOEXEC.bits());

fn give_inside(folder: &OwnedFd, uid: u32, gid: u32) -> rustix::io::Result<u64> {
    let mut changed = 0;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (found.st_uid, found.st_gid) != (uid, gid) {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            changed += 1;
        }
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            changed += give_inside(&rustix::fs::openat(folder, name, FOLDER, Mode::empty())?, uid, gid)?;
        }
    }
    Ok(changed)
}
