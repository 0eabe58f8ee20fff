//! Remembering the keys of new hosts.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// Adds lines to the file of learnt host keys, as a whole and under a lock. A host that is in it
/// already keeps its line: what was learnt first stands.
pub(super) fn add(file: &Path, lines: &[String]) -> Result<()> {
    let about = || format!("failed to remember a host key in {}", file.display());
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(about)?;
    let lock = File::create(file.with_extension("lock")).with_context(about)?;
    flock(&lock, FlockOperation::LockExclusive).with_context(about)?;
    let mut text = super::keys::text(file)?.unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let before = text.len();
    for line in lines {
        let host = line.split(' ').next();
        if !text.lines().any(|known| known.split(' ').next() == host) {
            text.push_str(line);
            text.push('\n');
        }
    }
    if text.len() == before {
        return Ok(());
    }
    let mut new = tempfile::NamedTempFile::new_in(folder).with_context(about)?;
    new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).with_context(about)?;
    new.persist(file).with_context(about)?;
    File::open(folder).and_then(|f| f.sync_all()).with_context(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_of_a_host_stands() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/known_hosts");
        add(&file, &["a t k1".to_owned(), "[b]:22 t k2".to_owned()]).unwrap();
        add(&file, &["a t other".to_owned(), "c t k3".to_owned()]).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "a t k1\n[b]:22 t k2\nc t k3\n");
    }
}
