//! Room on a disk, and who may have the last of it.
//!
//! When a disk is full, records and journals must still be written: without them no run may begin or
//! end. So output and logs leave a reserve alone, and a ballast file is given up for what is small
//! and needed. Both come back by themselves when there is room again.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, StatVfs};

/// Bytes that output and logs leave free, on a disk that is large enough.
const RESERVE: u64 = 8 << 20;

/// Of a smaller disk they leave this share.
const SHARE: u64 = 16;

/// The ballast is so much of the reserve: what it leaves when it is given up is still too little for
/// output, which would take it at once.
const BALLAST: u64 = 2;

/// The disk has no room for output.
#[derive(Debug, thiserror::Error)]
#[error("the disk is full: {free} bytes are free, and the last {reserve} are kept for records")]
pub struct Full {
    free: u64,
    reserve: u64,
}

/// Free bytes, and how many of them are kept for records.
fn room(disk: &StatVfs) -> (u64, u64) {
    // The superuser may have what a file system sets apart for it.
    let blocks = if rustix::process::geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
    let total = disk.f_blocks.saturating_mul(disk.f_frsize);
    (blocks.saturating_mul(disk.f_frsize), RESERVE.min(total / SHARE))
}

fn judge(disk: &StatVfs) -> Result<(), Full> {
    let (free, reserve) = room(disk);
    if free < reserve { Err(Full { free, reserve }) } else { Ok(()) }
}

/// Refuses when the disk of an open file has no room but for records.
///
/// # Errors
/// [`Full`], or when the disk cannot be asked.
pub fn check_room(file: impl AsFd) -> Result<()> {
    Ok(judge(&rustix::fs::fstatvfs(file)?)?)
}

/// A file of no use but its size. Clones share it.
#[derive(Debug, Clone)]
pub struct Ballast {
    path: PathBuf,
    there: Arc<AtomicBool>,
    /// One at a time makes or gives up.
    turn: Arc<Mutex<()>>,
}

impl Ballast {
    /// The ballast of a state dir, made if there is room and it is not there.
    pub fn new(state_dir: &Path) -> Self {
        let path = state_dir.join("ballast");
        let there = Arc::new(AtomicBool::new(path.exists()));
        let ballast = Self { path, there, turn: Arc::default() };
        ballast.look();
        ballast
    }

    /// Gives it up; says whether there was one. What failed for want of room may be tried again then.
    pub fn give_up(&self) -> bool {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.there.store(false, Ordering::Release);
        match fs::remove_file(&self.path) {
            Ok(()) => {
                tracing::warn!("the disk is full: {} was removed to make room for records", self.path.display());
                true
            }
            Err(_) => false,
        }
    }

    /// Gives it up on a disk that is all but full, makes it again when there is room, and says what
    /// is wrong with the disk.
    pub fn look(&self) -> Option<String> {
        let folder = self.path.parent().unwrap_or(&self.path);
        let disk = match rustix::fs::statvfs(folder) {
            Ok(disk) => disk,
            Err(error) => return Some(format!("the disk of {} cannot be asked: {error}", folder.display())),
        };
        let (free, reserve) = room(&disk);
        let there = self.there.load(Ordering::Acquire);
        if there && free < reserve / 8 {
            self.give_up();
        } else if !there
            && free >= 2 * reserve
            && let Err(error) = self.make(reserve / BALLAST)
        {
            tracing::warn!("{error:#}");
        }
        judge(&disk).err().map(|full| format!("{}: {full}", folder.display()))
    }

    fn make(&self, size: u64) -> Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let about = || format!("failed to make {}", self.path.display());
        let mut file = File::options().write(true).create(true).truncate(false).open(&self.path).with_context(about)?;
        let made = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fill(&mut file, size),
            answer => answer.map_err(Into::into),
        };
        if made.is_err() {
            fs::remove_file(&self.path).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
        }
        made.with_context(about)?;
        self.there.store(true, Ordering::Release);
        Ok(())
    }
}

fn fill(file: &mut File, size: u64) -> std::io::Result<()> {
    let zeros = [0; 1 << 12];
    (0..size / zeros.len() as u64).try_for_each(|_| file.write_all(&zeros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ballast_takes_its_room_and_gives_it_back() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path());
        let path = dir.path().join("ballast");
        let data = fs::metadata(&path).unwrap();
        assert!(
            data.len() == RESERVE / 2 && data.blocks() * 512 >= data.len(),
            "it must not be a sparse file: {data:?}"
        );
        assert!(ballast.give_up());
        assert!(!path.exists());
        assert!(!ballast.give_up(), "there is none any more");
        ballast.look();
        assert!(path.exists(), "there is room");
    }

    #[test]
    fn a_small_disk_keeps_a_small_reserve() {
        let disk = |blocks, free| StatVfs { f_blocks: blocks, f_bfree: free, f_bavail: free, ..any() };
        fn any() -> StatVfs {
            let mut disk = rustix::fs::statvfs("/").unwrap();
            disk.f_frsize = 4096;
            disk
        }
        let mib = 256;
        assert!(judge(&disk(1024 * mib, 9 * mib)).is_ok());
        assert!(judge(&disk(1024 * mib, 7 * mib)).is_err());
        assert!(judge(&disk(32 * mib, 3 * mib)).is_ok());
        assert!(judge(&disk(32 * mib, mib)).is_err());
    }
}
