//! Small files of ours inside a git dir: `<git dir>/tender/<name>`.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Replaces a record as a whole; durable when it returns.
pub(super) fn write(git_dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = place(git_dir, name)?;
    let about = || format!("failed to write {}", path.display());
    let folder = git_dir.join("tender");
    fs::create_dir_all(&folder).with_context(about)?;
    let mut file = tempfile::NamedTempFile::new_in(&folder).with_context(about)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).with_context(about)?;
    file.persist(&path).with_context(about)?;
    File::open(&folder).and_then(|f| f.sync_all()).with_context(about)
}

/// Reads a record; `None` when there is none.
pub(super) fn read(git_dir: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let path = place(git_dir, name)?;
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

fn place(git_dir: &Path, name: &str) -> Result<PathBuf> {
    ensure!(!name.is_empty() && !name.starts_with('.') && !name.contains('/'), "{name:?} is no name for a record");
    Ok(git_dir.join("tender").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_replaced_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path(), "deploy.json").unwrap(), None);
        write(dir.path(), "deploy.json", b"1").unwrap();
        write(dir.path(), "deploy.json", b"22").unwrap();
        assert_eq!(read(dir.path(), "deploy.json").unwrap().as_deref(), Some(&b"22"[..]));
        assert_eq!(fs::read_dir(dir.path().join("tender")).unwrap().count(), 1);
        for name in ["", "../config", "a/b", ".hidden"] {
            assert!(write(dir.path(), name, b"").is_err(), "{name}");
        }
    }
}
