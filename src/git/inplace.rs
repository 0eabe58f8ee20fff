//! Files that are made from templates, written where they are: they keep their inode, because a
//! container may have mounted it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use git2::Status;
use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{place, repo};

/// A larger file was not made from a template.
const MOST: u64 = 64 << 20;

/// What lies where a file is to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occupant {
    /// Nothing.
    Nothing,
    /// A folder without anything in it, as the engine makes one for a mount that is missing.
    EmptyFolder,
    /// A file with these bytes.
    File(Vec<u8>),
}

/// A file to be written below a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InPlace {
    /// Path relative to the folder.
    pub path: PathBuf,
    /// Its bytes; `None`: the file goes.
    pub bytes: Option<Vec<u8>>,
    /// Permission bits of the file where it is new.
    pub mode: u32,
}

/// What lies at a path below a folder. Links are followed as long as they stay below it.
///
/// # Errors
/// In words: what keeps a file from being written there.
pub(super) fn look(folder: &Path, path: &Path) -> Result<Occupant> {
    let Some(found) = Place::find(folder, path)? else { return Ok(Occupant::Nothing) };
    found.occupant()
}

/// Writes a file, or takes it away, and tells whether anything was changed.
///
/// # Errors
/// When something else than a file is in the way, or the disk is full. A file may then be half
/// written: writing it again helps.
pub fn write_below(folder: &Path, file: &InPlace) -> Result<bool> {
    let about = || format!("failed to write {}", folder.join(&file.path).display());
    let Some(found) = Place::find(folder, &file.path)? else {
        ensure!(file.bytes.is_none(), "there is no folder for {}", folder.join(&file.path).display());
        return Ok(false);
    };
    match (found.occupant()?, &file.bytes) {
        (Occupant::Nothing | Occupant::EmptyFolder, None) => Ok(false),
        (Occupant::File(_), None) => {
            rustix::fs::unlinkat(&found.folder, &found.name, AtFlags::empty()).with_context(about)?;
            Ok(true)
        }
        (Occupant::File(there), Some(bytes)) if there == *bytes => Ok(false),
        (Occupant::File(_), Some(bytes)) => {
            let file = found.open(OFlags::WRONLY, Mode::empty()).with_context(about)?;
            fill(File::from(file), bytes).with_context(about)?;
            Ok(true)
        }
        (there, Some(bytes)) => {
            if there == Occupant::EmptyFolder {
                rustix::fs::unlinkat(&found.folder, &found.name, AtFlags::REMOVEDIR).with_context(about)?;
            }
            let mode = Mode::from_raw_mode(file.mode);
            let new = found.open(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode).with_context(about)?;
            // Whatever the umask says.
            rustix::fs::fchmod(&new, mode).with_context(about)?;
            fill(File::from(new), bytes).with_context(about)?;
            rustix::fs::fsync(&found.folder).with_context(about)?;
            Ok(true)
        }
    }
}

/// New bytes first, then the new length: at no moment is the file empty.
fn fill(mut file: File, bytes: &[u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// Writes all of them; gives those that git takes for a change of the checkout.
pub(super) fn write(folder: &Path, files: &[InPlace]) -> Result<Vec<PathBuf>> {
    for file in files {
        write_below(folder, file)?;
    }
    let Some(toplevel) = place::toplevel(folder) else { return Ok(Vec::new()) };
    // All is written: what follows only warns.
    let Ok(repo) = repo::open(&toplevel) else { return Ok(Vec::new()) };
    let is_change = |file: &&InPlace| {
        let path = folder.join(&file.path);
        let inside = path.strip_prefix(&toplevel).ok().filter(|_| file.bytes.is_some());
        let status = inside.and_then(|inside| repo.status_file(inside).ok());
        status.is_some_and(|status| status != Status::CURRENT && !status.contains(Status::IGNORED))
    };
    Ok(files.iter().filter(is_change).map(|file| file.path.clone()).collect())
}

/// A name in an open folder: from here on nobody can lead it elsewhere.
struct Place {
    folder: OwnedFd,
    name: OsString,
    /// For messages.
    shown: PathBuf,
}

impl Place {
    /// `None` while the folder that it would lie in does not exist.
    fn find(folder: &Path, path: &Path) -> Result<Option<Self>> {
        let shown = folder.join(path);
        let about = || format!("failed to look at {}", shown.display());
        let gone = |error: &std::io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        let root = match folder.canonicalize() {
            Err(error) if gone(&error) => return Ok(None),
            found => found.with_context(about)?,
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            bail!("{} is no path of a file", shown.display());
        };
        let parent = match root.join(parent).canonicalize() {
            Err(error) if gone(&error) => return Ok(None),
            found => found.with_context(about)?,
        };
        let mut place = parent.join(name);
        if fs::symlink_metadata(&place).is_ok_and(|found| found.is_symlink()) {
            place = place.canonicalize().with_context(|| format!("{} is a link to nowhere", shown.display()))?;
        }
        let Ok(inside) = place.strip_prefix(&root) else {
            bail!("{} is a link that leads out of {}: it is not written through", shown.display(), folder.display());
        };
        let (Some(parent), Some(name)) = (inside.parent(), inside.file_name()) else {
            bail!("{} is {} itself", shown.display(), folder.display());
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let mut open = rustix::fs::open(&root, flags, Mode::empty()).with_context(about)?;
        for part in parent.components() {
            open = rustix::fs::openat(&open, part.as_os_str(), flags | OFlags::NOFOLLOW, Mode::empty())
                .with_context(about)?;
        }
        Ok(Some(Self { folder: open, name: name.to_owned(), shown }))
    }

    fn open(&self, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        rustix::fs::openat(&self.folder, &self.name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, mode)
    }

    fn occupant(&self) -> Result<Occupant> {
        let shown = self.shown.display();
        let about = || format!("failed to look at {shown}");
        let writable = |name: &std::ffi::OsStr| {
            rustix::fs::accessat(&self.folder, name, Access::WRITE_OK, AtFlags::empty())
                .map_err(|why| anyhow::anyhow!("{shown} cannot be written: {why}"))
        };
        let found = match rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {
                writable(".".as_ref())?;
                return Ok(Occupant::Nothing);
            }
            found => found.with_context(about)?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                writable(".".as_ref())?;
                let inside = self.open(OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).with_context(about)?;
                for entry in Dir::read_from(inside).with_context(about)? {
                    if !matches!(entry.with_context(about)?.file_name().to_bytes(), b"." | b"..") {
                        bail!("{shown} is a folder that is not empty, and a file is to be written there");
                    }
                }
                Ok(Occupant::EmptyFolder)
            }
            FileType::RegularFile => {
                writable(&self.name)?;
                let file = File::from(self.open(OFlags::RDONLY, Mode::empty()).with_context(about)?);
                let mut bytes = Vec::new();
                file.take(MOST + 1).read_to_end(&mut bytes).with_context(about)?;
                ensure!(bytes.len() as u64 <= MOST, "{shown} is too large to have been made from a template");
                Ok(Occupant::File(bytes))
            }
            _ => bail!("{shown} is no file, and one is to be written there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn file(path: &str, text: &str) -> InPlace {
        InPlace { path: path.into(), bytes: Some(text.into()), mode: 0o640 }
    }

    #[test]
    fn a_file_keeps_its_inode_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(write_below(dir.path(), &file("x", "a longer text")).unwrap());
        let before = path.metadata().unwrap();
        assert_eq!(before.permissions().mode() & 0o777, 0o640);
        assert!(write_below(dir.path(), &file("x", "short")).unwrap());
        assert!(!write_below(dir.path(), &file("x", "short")).unwrap(), "nothing is written that is there");
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), path.metadata().unwrap().ino()),
            ("short", before.ino())
        );
        let gone = InPlace { bytes: None, ..file("x", "") };
        assert!(write_below(dir.path(), &gone).unwrap());
        assert!(!write_below(dir.path(), &gone).unwrap() && !path.exists());
    }

    #[test]
    fn folders_in_the_way_go_only_when_empty() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("x")).unwrap();
        assert_eq!(look(dir.path(), Path::new("x")).unwrap(), Occupant::EmptyFolder);
        write_below(dir.path(), &file("x", "1")).unwrap();
        assert_eq!(look(dir.path(), Path::new("x")).unwrap(), Occupant::File(b"1".into()));
        fs::create_dir_all(dir.path().join("y/data")).unwrap();
        let why = look(dir.path(), Path::new("y")).unwrap_err().to_string();
        assert!(why.contains("/y is a folder that is not empty"), "{why}");
        assert!(write_below(dir.path(), &file("y", "1")).is_err());
        assert_eq!(look(dir.path(), Path::new("new/x")).unwrap(), Occupant::Nothing);
        assert!(write_below(dir.path(), &file("new/x", "1")).is_err());
    }

    #[test]
    fn links_are_followed_only_inside() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/x"), "0").unwrap();
        symlink("real/x", dir.path().join("inside")).unwrap();
        write_below(dir.path(), &file("inside", "1")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("real/x")).unwrap(), "1");
        assert!(dir.path().join("inside").symlink_metadata().unwrap().is_symlink());
        fs::write(outside.path().join("x"), "0").unwrap();
        symlink(outside.path().join("x"), dir.path().join("file")).unwrap();
        symlink(outside.path(), dir.path().join("folder")).unwrap();
        symlink("nowhere", dir.path().join("dangling")).unwrap();
        for path in ["file", "folder/x", "folder/new", "dangling", "../x"] {
            assert!(look(dir.path(), Path::new(path)).is_err(), "{path}");
            assert!(write_below(dir.path(), &file(path, "1")).is_err(), "{path}");
        }
        assert_eq!(fs::read_to_string(outside.path().join("x")).unwrap(), "0");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}
