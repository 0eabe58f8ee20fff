//! Reading a log file to its end, and on from there, whatever rotation does to it.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

/// How much is read at once.
const PIECE: usize = 64 * 1024;
/// Longest time without a look: not every file system tells of changes.
const PATIENCE: Duration = Duration::from_secs(1);

/// A reader of one name: like `tail -F`, it follows the name and not the file.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: (u64, u64),
    at: u64,
}

impl Tail {
    /// A reader from the beginning. The file need not be there yet.
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None }
    }

    /// Whether there is a file to read now.
    pub(super) fn exists(&self) -> bool {
        self.open.is_some() || self.path.exists()
    }

    /// Skips all but the last `lines` lines of what is there.
    pub(super) fn skip_to_last(&mut self, lines: usize) -> anyhow::Result<()> {
        self.reopen()?;
        let Some(open) = &mut self.open else { return Ok(()) };
        open.at = start_of_last(&mut open.file, lines).with_context(|| about(&self.path))?;
        Ok(())
    }

    /// Hands everything new to `sink`: the rest of a file that was rotated away first.
    pub(super) fn read(&mut self, sink: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        loop {
            if let Some(open) = &mut self.open {
                open.drain(sink).with_context(|| about(&self.path))?;
            }
            if !self.reopen()? {
                return Ok(());
            }
        }
    }

    /// Opens the file of this name where it is another one than before, or was emptied. Says whether.
    fn reopen(&mut self) -> anyhow::Result<bool> {
        let about = || about(&self.path);
        let file = match File::open(&self.path) {
            Ok(file) => file,
            // Between the two steps of a rotation there is none.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).with_context(about),
        };
        let seen = file.metadata().with_context(about)?;
        let inode = (seen.dev(), seen.ino());
        match &mut self.open {
            Some(open) if open.inode == inode && seen.len() < open.at => {
                open.at = 0;
                Ok(true)
            }
            Some(open) if open.inode == inode => Ok(false),
            _ => {
                self.open = Some(Open { file, inode, at: 0 });
                Ok(true)
            }
        }
    }
}

fn about(path: &Path) -> String {
    format!("failed to read {}", path.display())
}

impl Open {
    fn drain(&mut self, sink: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.file.seek(SeekFrom::Start(self.at))?;
        let mut piece = vec![0; PIECE];
        loop {
            let length = self.file.read(&mut piece)?;
            if length == 0 {
                return Ok(());
            }
            sink(&piece[..length])?;
            self.at += length as u64;
        }
    }
}

/// Where the last `lines` lines begin. A last line without an end counts.
fn start_of_last(file: &mut File, lines: usize) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    if lines == 0 {
        return Ok(length);
    }
    let mut missing = lines;
    let mut end = length;
    let mut piece = vec![0; PIECE];
    while end > 0 {
        let start = end.saturating_sub(PIECE as u64);
        let piece = &mut piece[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(piece)?;
        for (at, _) in piece.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = start + at as u64 + 1;
            if after == length {
                continue; // the end of the last line, not of one before it
            }
            missing = missing.saturating_sub(1);
            if missing == 0 {
                return Ok(after);
            }
        }
        end = start;
    }
    Ok(0)
}

/// Tells of changes in a folder.
#[derive(Debug)]
pub(super) struct Changes(Option<AsyncFd<rustix::fd::OwnedFd>>);

impl Changes {
    /// Watches a folder; where that cannot be had, every look waits a second.
    pub(super) fn of(folder: &Path) -> Self {
        Self(watch(folder).ok())
    }

    /// Returns after a change, or after a second.
    pub(super) async fn next(&mut self) {
        let Some(watch) = &mut self.0 else { return tokio::time::sleep(PATIENCE).await };
        if let Ok(Ok(mut ready)) = tokio::time::timeout(PATIENCE, watch.readable()).await {
            let mut events = [0u8; 4096];
            while rustix::io::read(ready.get_inner(), &mut events).is_ok_and(|length| length > 0) {}
            ready.clear_ready();
        }
    }
}

fn watch(folder: &Path) -> anyhow::Result<AsyncFd<rustix::fd::OwnedFd>> {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    let changes = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&watch, folder, changes)?;
    #[expect(deprecated, reason = "its successor is unsafe to call; an owned descriptor keeps its promise")]
    Ok(AsyncFd::new(watch)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    fn read(tail: &mut Tail) -> String {
        let mut all = Vec::new();
        tail.read(&mut |bytes| {
            all.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn a_name_is_followed_through_every_way_of_rotating() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut tail = Tail::of(&path);
        assert_eq!(read(&mut tail), "", "not there yet");
        fs::write(&path, "one\n").unwrap();
        assert_eq!(read(&mut tail), "one\n");
        assert_eq!(read(&mut tail), "");

        // Renamed while its writer goes on, then a new file.
        let mut writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
        fs::rename(&path, dir.path().join("a.log.1")).unwrap();
        writer.write_all(b"two\n").unwrap();
        assert_eq!(read(&mut tail), "two\n");
        writer.write_all(b"three\n").unwrap();
        fs::write(&path, "four\n").unwrap();
        assert_eq!(read(&mut tail), "three\nfour\n");

        // Copied and emptied.
        fs::write(&path, "5\n").unwrap();
        assert_eq!(read(&mut tail), "5\n");
    }

    #[test]
    fn the_last_lines_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let long = "x".repeat(PIECE + 7);
        for (text, lines, want) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 9, "a\nb\n"),
            ("a\nb\n", 0, ""),
            ("", 3, ""),
            ("\n\n\n", 2, "\n\n"),
            (&format!("a\n{long}\nb\n"), 2, &format!("{long}\nb\n")),
        ] {
            fs::write(&path, text).unwrap();
            let mut tail = Tail::of(&path);
            tail.skip_to_last(lines).unwrap();
            assert_eq!(read(&mut tail), want, "{lines} of {text:.20}");
        }
    }

    #[tokio::test]
    async fn a_change_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut changes = Changes::of(dir.path());
        assert!(changes.0.is_some());
        fs::write(dir.path().join("a.log"), "x").unwrap();
        let begun = tokio::time::Instant::now();
        changes.next().await;
        assert!(begun.elapsed() < PATIENCE, "an event, not the time limit");
    }
}
