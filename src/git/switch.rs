//! Moving a checkout from one commit to another, in place, so that a crash at any instant leaves
//! something that can be finished.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use git2::build::CheckoutBuilder;
use git2::{CheckoutNotificationType, FileMode, Oid, Repository};

use super::Failure;
use super::history::{difference, path_of};
use super::obstacles::obstacles;
use super::repo::{Head, commit, head};

/// How long a lock may be somebody else's before it is taken for one left by a killed child.
const STALE: Duration = Duration::from_secs(3);

/// What would keep the checkout from moving to a commit.
pub(super) fn can_switch(repo: &Repository, to: &str) -> Result<Vec<String>> {
    let (_, here) = branch(repo)?;
    obstacles(repo, &repo.find_commit(here).context("failed to read HEAD")?, &commit(repo, to)?)
}

/// Moves branch, index and files. Existing files are rewritten in place, so they keep their inode
/// and owner; nothing untracked or ignored is touched.
pub(super) fn switch(repo: &Repository, from: &str, to: &str) -> Result<()> {
    let (branch, here) = branch(repo)?;
    let (from, to) = (commit(repo, from)?, commit(repo, to)?);
    if here == to.id() {
        return Ok(());
    }
    at_one_of(here, &[from.id()])?;
    let found = obstacles(repo, &from, &to)?;
    if !found.is_empty() {
        bail!(Failure::Obstacles(found));
    }
    let mut conflicts = Vec::new();
    let outcome = {
        let mut options = CheckoutBuilder::new();
        options.safe().overwrite_ignored(false).recreate_missing(true);
        options.notify_on(CheckoutNotificationType::CONFLICT);
        options.notify(|_, path, _, _, _| {
            conflicts.extend(path.map(|path| format!("{} has been changed here", path.display())));
            true
        });
        repo.checkout_tree(to.as_object(), Some(&mut options))
    };
    if !conflicts.is_empty() {
        bail!(Failure::Obstacles(conflicts));
    }
    outcome.with_context(|| format!("failed to write the files of {}", to.id()))?;
    set(repo, &branch, from.id(), to.id())?;
    sync(repo)
}

/// Finishes a switch that was begun and killed: for callers whose journal says that it had begun,
/// so that nothing was in the way. HEAD and the index tell nothing then: either end is taken.
/// Doing it again, or where nothing is missing, is fine.
pub(super) fn resume(repo: &Repository, from: &str, to: &str) -> Result<()> {
    let (branch, here) = branch(repo)?;
    let (from, to) = (commit(repo, from)?, commit(repo, to)?);
    at_one_of(here, &[from.id(), to.id()])?;
    let root = repo.workdir().context("it has no files")?;
    for lock in [repo.path().join("index.lock"), repo.commondir().join(format!("{branch}.lock"))] {
        clear_lock(&lock)?;
    }
    let diff = difference(repo, &from, &to)?;
    let mut options = CheckoutBuilder::new();
    options.force().disable_pathspec_match(true);
    let mut paths = 0;
    // force alone stumbles over files that become folders and the other way round, and writes a
    // file through the link that it replaces
    for delta in diff.deltas() {
        let new = delta.new_file();
        let path = path_of(new.path_bytes().or(delta.old_file().path_bytes()).unwrap_or_default());
        let link = fs::symlink_metadata(root.join(&path)).is_ok_and(|found| found.is_symlink());
        if !new.exists() || link != (new.mode() == FileMode::Link) {
            remove(root, &path)?;
        }
    }
    for delta in diff.deltas() {
        if let Some(path) = delta.new_file().path_bytes().or(delta.old_file().path_bytes()) {
            options.path(path);
            paths += 1;
        }
    }
    let mut index = repo.index().context("failed to read the index")?;
    index.read_tree(&to.tree()?).and_then(|()| index.write()).context("failed to write the index")?;
    if here != to.id() {
        set(repo, &branch, from.id(), to.id())?;
    }
    // no path at all would mean every path
    if paths > 0 {
        repo.checkout_tree(to.as_object(), Some(&mut options))
            .with_context(|| format!("failed to write the files of {}", to.id()))?;
    }
    sync(repo)
}

/// Full name of the branch that is checked out, and its commit.
fn branch(repo: &Repository) -> Result<(String, Oid)> {
    match head(repo)? {
        Head::Branch { name, commit } => Ok((format!("refs/heads/{name}"), commit)),
        Head::Detached(_) | Head::Unborn => bail!("it is on no branch: pinned checkouts are not moved"),
    }
}

fn at_one_of(here: Oid, expected: &[Oid]) -> Result<()> {
    if expected.contains(&here) {
        return Ok(());
    }
    let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    bail!("it is at {here} and not at {}: somebody has moved it", expected.join(" or "))
}

/// Only while it still points where it was seen.
fn set(repo: &Repository, branch: &str, from: Oid, to: Oid) -> Result<()> {
    repo.reference_matching(branch, to, true, from, "tender: switch")
        .with_context(|| format!("failed to move {branch}"))?;
    Ok(())
}

/// libgit2 syncs nothing, and the journal is about to say that it is done.
fn sync(repo: &Repository) -> Result<()> {
    let mut synced = BTreeSet::new();
    for dir in [repo.workdir(), Some(repo.path()), Some(repo.commondir())].into_iter().flatten() {
        let about = || format!("failed to sync {}", dir.display());
        let dir = fs::File::open(dir).with_context(about)?;
        // usually all of it is on one file system
        if synced.insert(dir.metadata().with_context(about)?.dev()) {
            rustix::fs::syncfs(&dir).with_context(about)?;
        }
    }
    Ok(())
}

/// Removes a file that goes, and the folders that it leaves empty. Links are not followed.
fn remove(root: &Path, path: &Path) -> Result<()> {
    let mut parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    if !parents.all(|parent| fs::symlink_metadata(root.join(parent)).is_ok_and(|found| found.is_dir())) {
        return Ok(());
    }
    let full = root.join(path);
    // a folder in its place is of the new commit
    if fs::symlink_metadata(&full).is_ok_and(|found| !found.is_dir()) {
        fs::remove_file(&full).with_context(|| format!("failed to remove {}", path.display()))?;
    }
    for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
        if fs::remove_dir(root.join(parent)).is_err() {
            break;
        }
    }
    Ok(())
}

fn clear_lock(lock: &Path) -> Result<()> {
    let seen = Instant::now();
    while lock.exists() {
        if seen.elapsed() > STALE {
            return fs::remove_file(lock).with_context(|| format!("failed to remove {}", lock.display()));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
