//! The one journal type, for deploys and for the hand-over: a small document that is replaced as a
//! whole, so that after any crash it holds either the state before a step or the one after it.

pub mod deploy;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A durable document of type `S`.
#[derive(Debug)]
pub struct Journal<S> {
    path: PathBuf,
    state: PhantomData<S>,
}

impl<S> Clone for Journal<S> {
    fn clone(&self) -> Self {
        Self { path: self.path.clone(), state: PhantomData }
    }
}

impl<S: Serialize + DeserializeOwned> Journal<S> {
    /// The journal at this path; nothing is read or written yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), state: PhantomData }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last state written, `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else than a state.
    pub fn read(&self) -> Result<Option<S>> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("failed to read {}", self.path.display())),
        };
        serde_json::from_slice(&text).map(Some).with_context(|| format!("{} is damaged", self.path.display()))
    }

    /// Replaces the state; durable when it returns.
    ///
    /// # Errors
    /// When it could not be made durable; the state before it then still stands.
    pub fn write(&self, state: &S) -> Result<()> {
        let text = serde_json::to_vec_pretty(state).context("failed to write the journal")?;
        replace(&self.path, &text)
    }

    /// Removes it; durable when it returns. Gone already is fine.
    ///
    /// # Errors
    /// When the file or its folder cannot be written.
    pub fn clear(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Ok(()) => sync_folder_of(&self.path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("failed to remove {}", self.path.display())),
        }
    }
}

/// Replaces a file as a whole: temporary file, fsync, rename, fsync of the folder. Mode 0600.
///
/// # Errors
/// When any of these steps fails; the old content then still stands.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let about = || format!("failed to write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(about)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = folder.join(name);
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&new).with_context(about)?;
    file.write_all(content).and_then(|()| file.sync_all()).with_context(about)?;
    fs::rename(&new, path).with_context(about)?;
    sync_folder_of(path)
}

/// Makes the names in a file's folder durable.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).with_context(|| format!("failed to sync {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_back_replaced_and_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::<Vec<u32>>::at(dir.path().join("deep/journal.json"));
        assert_eq!(journal.read().unwrap(), None);
        journal.write(&vec![1]).unwrap();
        journal.write(&vec![1, 2]).unwrap();
        assert_eq!(journal.read().unwrap(), Some(vec![1, 2]));
        journal.clear().unwrap();
        journal.clear().unwrap();
        assert_eq!(journal.read().unwrap(), None);
    }

    #[test]
    fn a_torn_temporary_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::<Vec<u32>>::at(dir.path().join("journal.json"));
        journal.write(&vec![7]).unwrap();
        fs::write(dir.path().join("journal.json.new"), b"[1,").unwrap();
        assert_eq!(journal.read().unwrap(), Some(vec![7]));
        journal.write(&vec![8]).unwrap();
        assert_eq!(journal.read().unwrap(), Some(vec![8]));
    }

    #[test]
    fn damage_is_an_error_and_not_an_empty_journal() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::<Vec<u32>>::at(dir.path().join("journal.json"));
        fs::write(journal.path(), b"{").unwrap();
        assert!(journal.read().unwrap_err().to_string().contains("is damaged"));
    }
}
