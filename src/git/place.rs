//! Where a checkout begins, where its git dir is, and whose it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The top of the checkout that holds a path: the nearest folder upwards with a `.git`.
pub fn toplevel(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|dir| !dir.as_os_str().is_empty() && dir.join(".git").exists()).map(Path::to_path_buf)
}

/// The git dir of a checkout: its `.git`, or the folder that a `.git` file names (worktrees and
/// submodules).
pub fn git_dir(toplevel: &Path) -> PathBuf {
    let git = toplevel.join(".git");
    let named = fs::read_to_string(&git).ok();
    let named = named.as_deref().and_then(|text| text.trim_end().strip_prefix("gitdir:")).map(str::trim);
    match named {
        Some(dir) => toplevel.join(dir),
        None => git,
    }
}

/// User and group that a path belongs to.
///
/// # Errors
/// When the path cannot be looked at.
pub fn owner(path: &Path) -> Result<(u32, u32)> {
    let found = fs::metadata(path).with_context(|| format!("failed to look at {}", path.display()))?;
    Ok((found.uid(), found.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkouts_are_found_from_below() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("repo");
        fs::create_dir_all(top.join(".git")).unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        assert_eq!(toplevel(&top.join("a/b")), Some(top.clone()));
        assert_eq!(toplevel(&top), Some(top.clone()));
        assert_eq!(git_dir(&top), top.join(".git"));
    }

    #[test]
    fn a_git_file_names_the_git_dir() {
        let dir = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("gitdir: /srv/main/.git/worktrees/w\n", PathBuf::from("/srv/main/.git/worktrees/w")),
            ("gitdir: ../.git/modules/m\n", dir.path().join("../.git/modules/m")),
        ] {
            fs::write(dir.path().join(".git"), text).unwrap();
            assert_eq!(git_dir(dir.path()), expected);
        }
    }
}
