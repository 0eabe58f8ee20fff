//! Reading commits: what differs, what happened, what a file was; and refs that keep commits.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use git2::{Commit, Delta, Diff, ErrorCode, Repository};

use super::repo::commit;

/// The difference of two commits, changes of type included.
pub(super) fn difference<'r>(repo: &'r Repository, from: &Commit<'_>, to: &Commit<'_>) -> Result<Diff<'r>> {
    let (from, to) = (from.tree()?, to.tree()?);
    let mut options = git2::DiffOptions::new();
    options.include_typechange(true);
    repo.diff_tree_to_tree(Some(&from), Some(&to), Some(&mut options)).context("failed to compare commits")
}

/// Status letter and path of each file that differs.
pub(super) fn changed_files(repo: &Repository, from: &str, to: &str) -> Result<Vec<(char, String)>> {
    let diff = difference(repo, &commit(repo, from)?, &commit(repo, to)?)?;
    let found = diff.deltas().map(|delta| {
        let letter = match delta.status() {
            Delta::Added => 'A',
            Delta::Deleted => 'D',
            Delta::Typechange => 'T',
            _ => 'M',
        };
        let path = delta.new_file().path_bytes().or(delta.old_file().path_bytes()).unwrap_or_default();
        (letter, String::from_utf8_lossy(path).into_owned())
    });
    Ok(found.collect())
}

/// The commits that `to` has and `from` lacks, newest first: short id and subject.
pub(super) fn log(repo: &Repository, from: &str, to: &str, limit: usize) -> Result<Vec<String>> {
    let mut walk = repo.revwalk().context("failed to walk the history")?;
    walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::TIME).context("failed to walk the history")?;
    walk.push(commit(repo, to)?.id()).context("failed to walk the history")?;
    walk.hide(commit(repo, from)?.id()).context("failed to walk the history")?;
    let mut lines = Vec::new();
    for id in walk.take(limit) {
        let id = id.context("failed to walk the history")?;
        let commit = repo.find_commit(id).context("failed to read a commit")?;
        let subject = commit.summary_bytes().map(String::from_utf8_lossy).unwrap_or_default();
        lines.push(format!("{:.7} {subject}", id.to_string()));
    }
    Ok(lines)
}

/// A file of a commit and whether it is executable; `None` when there is no such file.
pub(super) fn file_at(repo: &Repository, commit: &Commit<'_>, path: &Path) -> Result<Option<(Vec<u8>, bool)>> {
    let entry = match commit.tree()?.get_path(path) {
        Ok(entry) => entry,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    };
    // links and folders are no files
    if !matches!(entry.filemode(), 0o100_644 | 0o100_664 | 0o100_755) {
        return Ok(None);
    }
    let blob = repo.find_blob(entry.id()).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(Some((blob.content().to_vec(), entry.filemode() == 0o100_755)))
}

/// Keeps a commit from being collected.
pub(super) fn keep(repo: &Repository, name: &str, id: &str) -> Result<()> {
    let id = commit(repo, id)?.id();
    repo.reference(own_ref(name)?, id, true, "tender: keep").with_context(|| format!("failed to write {name}"))?;
    Ok(())
}

/// The refs of ours and their commits.
pub(super) fn kept(repo: &Repository) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for reference in repo.references_glob("refs/tender/*").context("failed to list refs")? {
        let reference = reference.context("failed to list refs")?;
        if let (Ok(name), Some(id)) = (reference.name(), reference.target()) {
            found.push((name.to_owned(), id.to_string()));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes one of them; gone already is fine.
pub(super) fn unkeep(repo: &Repository, name: &str) -> Result<()> {
    match repo.find_reference(own_ref(name)?) {
        Ok(mut reference) => reference.delete().with_context(|| format!("failed to delete {name}")),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("failed to delete {name}")),
    }
}

fn own_ref(name: &str) -> Result<&str> {
    if !name.starts_with("refs/tender/") || !git2::Reference::is_valid_name(name) {
        bail!("{name} is no ref below refs/tender/");
    }
    Ok(name)
}

/// Paths of files, whatever the bytes of their names.
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}
