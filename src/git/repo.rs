//! A checkout that is open, and what it follows.

use std::path::Path;

use anyhow::{Context, Result, bail};
use git2::{Config, ConfigLevel, Direction, ErrorCode, Oid, Repository};

use super::Failure;

/// Opens a checkout. Only its own configuration counts, never a user's or the machine's: no
/// `insteadOf`, `autocrlf` or excludes from outside.
pub(super) fn open(checkout: &Path) -> Result<Repository> {
    let repo = Repository::open(checkout).map_err(|error| match error.code() {
        ErrorCode::NotFound => Failure::NotARepo(format!("{} is no git checkout", checkout.display())).into(),
        _ => anyhow::Error::new(error).context(format!("failed to open {}", checkout.display())),
    })?;
    if repo.is_bare() {
        bail!(Failure::NotARepo(format!("{} is a bare repository, not a checkout", checkout.display())));
    }
    let mut config = Config::new().context("failed to set up git")?;
    for (file, level) in [
        (repo.commondir().join("config"), ConfigLevel::Local),
        (repo.path().join("config.worktree"), ConfigLevel::Worktree),
    ] {
        if file.is_file() {
            config.add_file(&file, level, false).with_context(|| format!("failed to read {}", file.display()))?;
        }
    }
    repo.set_config(&config).context("failed to set up git")?;
    Ok(repo)
}

/// What `HEAD` is.
pub(super) enum Head {
    /// A branch with a commit.
    Branch { name: String, commit: Oid },
    /// No branch.
    Detached(Oid),
    /// A branch without any commit yet.
    Unborn,
}

/// Reads `HEAD`.
pub(super) fn head(repo: &Repository) -> Result<Head> {
    match repo.head() {
        Ok(head) => {
            let commit = head.peel_to_commit().context("HEAD is no commit")?.id();
            match head.name().ok().and_then(|name| name.strip_prefix("refs/heads/")) {
                Some(name) => Ok(Head::Branch { name: name.to_owned(), commit }),
                None => Ok(Head::Detached(commit)),
            }
        }
        Err(error) if error.code() == ErrorCode::UnbornBranch => Ok(Head::Unborn),
        Err(error) => Err(error).context("failed to read HEAD"),
    }
}

/// The commit that is checked out.
pub(super) fn head_commit(repo: &Repository) -> Result<Oid> {
    match head(repo)? {
        Head::Branch { commit, .. } | Head::Detached(commit) => Ok(commit),
        Head::Unborn => bail!("there is no commit yet"),
    }
}

/// A commit by its full or short id.
pub(super) fn commit<'r>(repo: &'r Repository, id: &str) -> Result<git2::Commit<'r>> {
    repo.revparse_single(id).and_then(|o| o.peel_to_commit()).with_context(|| format!("there is no commit {id}"))
}

/// The upstream of a branch.
pub(super) struct Upstream {
    /// Name of the remote; `None` when the upstream is a branch of this very repo.
    pub(super) remote: Option<String>,
    /// Full name of the ref on the remote.
    pub(super) theirs: String,
    /// Full name of the ref that remembers it here.
    pub(super) ours: String,
}

impl Upstream {
    /// The upstream of a branch; `None` when it has none.
    pub(super) fn of(repo: &Repository, branch: &str) -> Result<Option<Self>> {
        let config = repo.config().context("failed to read the configuration")?;
        let value = |key: &str| config.get_string(&format!("branch.{branch}.{key}")).ok();
        let (Some(remote), Some(theirs)) = (value("remote"), value("merge")) else { return Ok(None) };
        if remote == "." {
            return Ok(Some(Self { remote: None, ours: theirs.clone(), theirs }));
        }
        let Ok(found) = repo.find_remote(&remote) else { return Ok(None) };
        let ours = found
            .refspecs()
            .filter(|spec| spec.direction() == Direction::Fetch && spec.src_matches(&theirs))
            .find_map(|spec| Some(spec.transform(&theirs).ok()?.as_str().ok()?.to_owned()));
        // a clone of a single branch that now follows another one has no refspec for it
        let short = theirs.strip_prefix("refs/heads/").unwrap_or(&theirs);
        let ours = ours.unwrap_or_else(|| format!("refs/remotes/{remote}/{short}"));
        Ok(Some(Self { remote: Some(remote), theirs, ours }))
    }

    /// Its name for people, such as `origin/main`.
    pub(super) fn label(&self) -> String {
        let short = ["refs/remotes/", "refs/heads/"].iter().find_map(|p| self.ours.strip_prefix(p));
        short.unwrap_or(&self.ours).to_owned()
    }

    /// The commit that is remembered.
    pub(super) fn remembered(&self, repo: &Repository) -> Result<Option<Oid>> {
        match repo.find_reference(&self.ours).and_then(|r| r.peel_to_commit()) {
            Ok(commit) => Ok(Some(commit.id())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("failed to read {}", self.ours)),
        }
    }
}

/// An error in one sentence: libgit2's messages without their class and code.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let parts: Vec<String> = error
        .chain()
        .map(|cause| match cause.downcast_ref::<git2::Error>() {
            Some(git) => git.message().to_owned(),
            None => cause.to_string(),
        })
        .collect();
    parts.join(": ")
}
