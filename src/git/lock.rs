//! The lock of a stack: held by the kernel, on a file in the git dir of the main checkout, so that
//! every container and every shell that sees the checkout sees the lock.

use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// The lock; let go when dropped, or when the process ends in whatever way.
#[derive(Debug)]
pub struct StackLock {
    _file: OwnedFd,
}

/// Takes the lock of the stack whose main checkout has this git dir; `None` if somebody holds it.
///
/// # Errors
/// When the file cannot be opened or created, which then belongs to the owner of the git dir.
pub fn lock(git_dir: &Path) -> Result<Option<StackLock>> {
    let path = git_dir.join("tender.lock");
    let about = || format!("failed to lock {}", path.display());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = loop {
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Err(Errno::NOENT) => {}
            opened => break opened.with_context(about)?,
        }
        match rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL, Mode::from(0o644)) {
            Err(Errno::EXIST) => {}
            created => {
                let file = created.with_context(about)?;
                let (uid, gid) = super::place::owner(git_dir)?;
                if rustix::process::geteuid().is_root() {
                    use rustix::fs::{Gid, Uid, fchown};
                    fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).with_context(about)?;
                }
                break file;
            }
        }
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(StackLock { _file: file })),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error).with_context(about),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        assert!(held.is_some());
        assert!(lock(dir.path()).unwrap().is_none());
        drop(held);
        assert!(lock(dir.path()).unwrap().is_some());
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("tender.lock")).unwrap();
        assert!(lock(dir.path()).is_err());
    }
}
