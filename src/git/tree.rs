//! Writing a commit's files aside, and listing what is no part of any commit.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use git2::build::CheckoutBuilder;
use git2::{Repository, StatusOptions};

use super::repo::commit;

/// Writes all files of a commit below `dir`, which exists; submodules become empty folders.
/// The checkout, its index and its refs are left alone.
///
/// A checkout compares with HEAD, and stumbles where a file of HEAD is a folder in the commit. So
/// it goes through a repo that has nothing but the objects, for which all files are new.
pub(super) fn materialise(repo: &Repository, id: &str, dir: &Path) -> Result<()> {
    let tree = commit(repo, id)?.tree()?.id();
    let about = || format!("failed to write out {id}");
    let git_dir = tempfile::tempdir_in(repo.path()).with_context(about)?;
    let objects = repo.commondir().join("objects");
    let attributes = repo.commondir().join("info/attributes");
    let aside = Repository::init_bare(git_dir.path()).with_context(about)?;
    aside.set_config(&repo.config()?).with_context(about)?;
    // Submodules ask for a work tree; that of the stage would be resolved as a path, and the folders
    // above it may be closed to us.
    let nothing = git_dir.path().join("nothing");
    fs::create_dir(&nothing).with_context(about)?;
    aside.set_workdir(&nothing, false).with_context(about)?;
    let objects = objects.to_str().with_context(|| format!("{} is no UTF-8", objects.display()))?;
    aside.odb().and_then(|odb| odb.add_disk_alternate(objects)).with_context(about)?;
    if attributes.exists() {
        fs::create_dir_all(git_dir.path().join("info")).with_context(about)?;
        fs::copy(&attributes, git_dir.path().join("info/attributes")).with_context(about)?;
    }
    let tree = aside.find_tree(tree).with_context(about)?;
    // attributes are looked up in the index before the files are there
    let mut index = aside.index().with_context(about)?;
    index.read_tree(&tree).and_then(|()| index.write()).with_context(about)?;
    let mut options = CheckoutBuilder::new();
    options.force().target_dir(dir);
    aside.checkout_tree(tree.as_object(), Some(&mut options)).with_context(about)
}

/// Untracked and ignored entries; a folder without any tracked file is one entry. Bytes of paths.
pub(super) fn leftovers(repo: &Repository) -> Result<Vec<Vec<u8>>> {
    let mut options = StatusOptions::new();
    options.include_untracked(true).include_ignored(true).exclude_submodules(true);
    let statuses = repo.statuses(Some(&mut options)).context("failed to list untracked files")?;
    let wanted = git2::Status::WT_NEW | git2::Status::IGNORED;
    let found = statuses.iter().filter(|entry| entry.status().intersects(wanted));
    Ok(found.map(|entry| entry.path_bytes().strip_suffix(b"/").unwrap_or(entry.path_bytes()).to_vec()).collect())
}
