//! A folder by its handle. Every name is looked up in the folder that was opened, and no link is
//! followed: what is swapped in between is not touched.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens it. The folder itself may be named through links: it is the operator's choice.
    ///
    /// # Errors
    /// When there is no such folder, or it must not be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let handle = fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All names in it, sorted.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// What a name stands for, links themselves included; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn look(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a regular file to read and write it at chosen places. Never hangs on a FIFO.
    ///
    /// # Errors
    /// When it is no regular file, or must not be written.
    pub fn open_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(fs::openat(&self.handle, name, flags, Mode::empty())?);
        if FileType::from_raw_mode(fs::fstat(&file)?.st_mode).is_file() {
            Ok(file)
        } else {
            Err(io::Error::other("no regular file"))
        }
    }

    /// Makes a file that did not exist, for its owner alone.
    ///
    /// # Errors
    /// When the name is taken or the folder cannot be written.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Gives a file another name, which must be free.
    ///
    /// # Errors
    /// When the new name is taken or the folder cannot be written.
    pub fn publish(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match fs::renameat_with(&self.handle, from, &self.handle, to, RenameFlags::NOREPLACE) {
            // Some network file systems know no such flag.
            Err(Errno::INVAL | Errno::NOSYS) if self.look(to)?.is_none() => self.replace(from, to),
            Err(Errno::INVAL | Errno::NOSYS) => Err(Errno::EXIST.into()),
            other => Ok(other?),
        }
    }

    /// Gives a file another name, in place of what has it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn replace(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(fs::renameat(&self.handle, from, &self.handle, to)?)
    }

    /// Removes a regular file; gone already is fine.
    ///
    /// # Errors
    /// When it is something else, or the folder cannot be written.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        match self.look(name)? {
            None => Ok(()),
            Some(stat) if is_file(&stat) => Ok(fs::unlinkat(&self.handle, name, AtFlags::empty())?),
            Some(_) => Err(io::Error::other("no regular file")),
        }
    }

    /// Makes its names durable.
    ///
    /// # Errors
    /// When the file system says so.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.handle)?)
    }
}

/// Whether this is a regular file.
pub fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_swapped_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("logs"), dir.path().join("other"));
        std::fs::create_dir(&path).unwrap();
        std::fs::create_dir(&other).unwrap();
        let folder = Folder::open(&path).unwrap();
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        folder.create("x".as_ref()).unwrap();
        assert!(dir.path().join("moved/x").exists() && !other.join("x").exists());
    }

    #[test]
    fn only_regular_files_are_opened_and_removed_and_no_name_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "f").unwrap();
        std::fs::create_dir(dir.path().join("dir")).unwrap();
        std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
        fs::mkfifoat(fs::CWD, dir.path().join("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.names().unwrap(), ["dir", "fifo", "file", "link"]);
        for name in ["dir", "link", "fifo"] {
            assert!(folder.open_file(name.as_ref()).is_err(), "{name}");
            assert!(folder.remove(name.as_ref()).is_err(), "{name}");
        }
        folder.create("new".as_ref()).unwrap();
        assert!(folder.create("new".as_ref()).is_err());
        assert!(folder.publish("new".as_ref(), "file".as_ref()).is_err());
        assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), b"f");
        folder.publish("new".as_ref(), "final".as_ref()).unwrap();
        folder.remove("final".as_ref()).unwrap();
        folder.remove("final".as_ref()).unwrap();
    }
}
