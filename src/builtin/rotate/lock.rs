//! One rotation at a time: a kernel lock beside the state file, which ends with its holder.
//! (Not on the state file itself: that one is replaced, and a lock on the old one guards nothing.)

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// What happens when another rotation has the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lock {
    /// [`Locked`] is returned.
    #[default]
    Fail,
    /// It is waited for.
    Wait,
    /// It is not asked for; the caller knows that there is no other.
    Skip,
}

/// Another rotation has this state.
#[derive(Debug, thiserror::Error)]
#[error("state {} is locked by another rotation", .0.display())]
pub struct Locked(pub PathBuf);

/// The lock of a state file, held as long as this lives.
#[derive(Debug)]
pub struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // A child that is just being spawned shares the open file: closing ours does not end the lock.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Takes the lock of a state file.
///
/// # Errors
/// [`Locked`], or when the lock file cannot be made.
pub fn take(state: &Path, how: Lock) -> Result<Option<Held>> {
    let operation = match how {
        Lock::Skip => return Ok(None),
        Lock::Wait => FlockOperation::LockExclusive,
        Lock::Fail => FlockOperation::NonBlockingLockExclusive,
    };
    let path = super::beside(state, ".lock");
    let about = || format!("failed to lock {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(about)?;
    }
    let flags = OFlags::NOFOLLOW.bits() as i32;
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(&path);
    let file = file.with_context(about)?;
    loop {
        match flock(&file, operation) {
            Ok(()) => return Ok(Some(Held(file))),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Err(Locked(state.to_owned()).into()),
            Err(error) => return Err(error).with_context(about),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_and_the_lock_ends_with_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let held = take(&state, Lock::Fail).unwrap();
        assert!(take(&state, Lock::Fail).unwrap_err().is::<Locked>());
        assert!(take(&state, Lock::Skip).unwrap().is_none());
        drop(held);
        assert!(take(&state, Lock::Wait).unwrap().is_some());
    }
}
