//! What would keep a checkout from being switched. libgit2's own check comes too late for this: it
//! overwrites ignored files, finds a folder in the way of a file only in the middle, and a lock
//! only at the end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use git2::{Commit, FileMode, Repository, RepositoryState, Status, StatusOptions};
use rustix::fs::Access;

use super::history::{difference, path_of};

/// What happens to a path between two commits.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    /// The old commit has it.
    old: bool,
    /// The new commit has it.
    new: bool,
    /// It is a submodule in the new commit: a folder, and an existing one is fine.
    folder: bool,
}

/// All obstacles between two commits, in words; empty when there is none.
pub(super) fn obstacles(repo: &Repository, from: &Commit<'_>, to: &Commit<'_>) -> Result<Vec<String>> {
    let root = repo.workdir().context("it has no files")?;
    let mut found = under_way(repo);
    let changes = changes(repo, from, to)?;
    let dirty = dirty(repo)?;
    for (path, change) in &changes {
        let shown = path.display();
        if let Some(parent) = blocked_parent(root, path, &changes) {
            found.push(format!("{} is in the way of {shown}", parent.display()));
            continue;
        }
        if change.old {
            if dirty.get(path).is_some_and(|status| !status.is_wt_deleted() || status.is_index_deleted()) {
                found.push(format!("{shown} has been changed here"));
            }
        } else {
            found.extend(in_the_way(root, path, *change, &changes)?);
        }
        found.extend(not_writable(root, path));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Other work in the same repo, or what is left of it.
fn under_way(repo: &Repository) -> Vec<String> {
    let mut found = Vec::new();
    if repo.state() != RepositoryState::Clean {
        found.push(format!("a {:?} is under way: finish or abort it", repo.state()).to_lowercase());
    }
    let branch = repo.head().ok().and_then(|head| head.name().ok().map(|n| format!("{n}.lock")));
    let mut locks = vec![repo.path().join("index.lock"), repo.path().join("HEAD.lock")];
    locks.extend(branch.map(|name| repo.commondir().join(name)));
    for lock in locks.into_iter().filter(|lock| lock.exists()) {
        found.push(format!("{} exists: another git is at work, or died and the file can be removed", lock.display()));
    }
    if let Err(why) = rustix::fs::access(repo.path(), Access::WRITE_OK) {
        found.push(format!("{} cannot be written: {why}", repo.path().display()));
    }
    found
}

fn changes(repo: &Repository, from: &Commit<'_>, to: &Commit<'_>) -> Result<BTreeMap<PathBuf, Change>> {
    let mut changes: BTreeMap<PathBuf, Change> = BTreeMap::new();
    for delta in difference(repo, from, to)?.deltas() {
        let (old, new) = (delta.old_file(), delta.new_file());
        if let Some(path) = old.path_bytes().filter(|_| old.exists()) {
            changes.entry(path_of(path)).or_default().old = true;
        }
        if let Some(path) = new.path_bytes().filter(|_| new.exists()) {
            let change = changes.entry(path_of(path)).or_default();
            change.new = true;
            change.folder = new.mode() == FileMode::Commit;
        }
    }
    Ok(changes)
}

fn dirty(repo: &Repository) -> Result<BTreeMap<PathBuf, Status>> {
    let mut options = StatusOptions::new();
    options.include_untracked(false).exclude_submodules(true);
    let statuses = repo.statuses(Some(&mut options)).context("failed to look for local changes")?;
    Ok(statuses.iter().map(|entry| (path_of(entry.path_bytes()), entry.status())).collect())
}

/// A file or link where a folder has to be, unless the switch itself takes it away.
fn blocked_parent(root: &Path, path: &Path, changes: &BTreeMap<PathBuf, Change>) -> Option<PathBuf> {
    path.ancestors()
        .skip(1)
        .filter(|parent| !parent.as_os_str().is_empty())
        .filter(|parent| fs::symlink_metadata(root.join(parent)).is_ok_and(|found| !found.is_dir()))
        .find(|parent| !changes.get(*parent).is_some_and(|change| change.old && !change.new))
        .map(Path::to_path_buf)
}

/// What lies at a path that only the new commit has.
fn in_the_way(root: &Path, path: &Path, change: Change, changes: &BTreeMap<PathBuf, Change>) -> Result<Vec<String>> {
    let Ok(found) = fs::symlink_metadata(root.join(path)) else { return Ok(Vec::new()) };
    let theirs = |path: &Path| format!("{} is not tracked, and the other commit has a file there", path.display());
    if !found.is_dir() {
        return Ok(vec![theirs(path)]);
    }
    if change.folder {
        return Ok(Vec::new());
    }
    // a folder becomes a file: all that lies in it must be files that go
    let mut kept = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let about = || format!("failed to list {}", folder.display());
        let mut empty = true;
        for entry in fs::read_dir(root.join(&folder)).with_context(about)? {
            let entry = entry.with_context(about)?;
            let inside = folder.join(OsStr::from_bytes(entry.file_name().as_bytes()));
            empty = false;
            if entry.file_type().with_context(about)?.is_dir() {
                folders.push(inside);
            } else if !changes.get(&inside).is_some_and(|change| change.old && !change.new) {
                kept.push(format!("{} is in the way of {}", inside.display(), path.display()));
            }
        }
        if empty {
            kept.push(format!("{} is in the way of {}", folder.display(), path.display()));
        }
    }
    Ok(kept)
}

/// Files and folders that this process may not write, such as those that another user's git left.
fn not_writable(root: &Path, path: &Path) -> Option<String> {
    let full = root.join(path);
    let file = fs::symlink_metadata(&full).is_ok_and(|found| found.is_file()).then_some(full.as_path());
    let folder = full.ancestors().skip(1).find(|parent| parent.is_dir());
    file.into_iter().chain(folder).find_map(|place| {
        let why = rustix::fs::access(place, Access::WRITE_OK).err()?;
        Some(format!("{} cannot be written: {why}", place.display()))
    })
}
