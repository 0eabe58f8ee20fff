//! The verdict about one checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use git2::{Oid, Repository, StatusOptions};

use super::fetch;
use super::history::{changed_files, file_at};
use super::repo::{Head, Upstream, head};
use super::request::{Access, Examined, TriggerFile};
use super::ssh::Pool;
use crate::run::Verdict;

/// Newest entries of a ref's log that are looked at for a force-push.
const LOG_ENTRIES: usize = 20;

/// Looks at a checkout and, with `access`, at its remote.
pub(super) fn examine(
    repo: &Repository,
    checkout: &Path,
    access: Option<&Access>,
    trigger_dirs: &[PathBuf],
    pool: &mut Pool,
    learnt: &mut Vec<String>,
) -> Result<Examined> {
    let (branch, commit) = match head(repo)? {
        Head::Branch { name, commit } => (name, commit),
        Head::Detached(commit) => {
            let reason = Some(format!("on no branch, at {:.7}", commit.to_string()));
            let mut examined = Examined::plain(checkout, Verdict::Pinned, reason);
            examined.verdict.follow = "pinned".to_owned();
            examined.verdict.from = Some(commit.to_string());
            return Ok(examined);
        }
        Head::Unborn => {
            let reason = Some("its branch has no commit yet".to_owned());
            return Ok(Examined::plain(checkout, Verdict::NoUpstream, reason));
        }
    };
    let mut examined = Examined::plain(checkout, Verdict::NoUpstream, None);
    examined.verdict.follow = format!("branch {branch}");
    examined.verdict.from = Some(commit.to_string());
    let Some(upstream) = Upstream::of(repo, &branch)? else {
        examined.verdict.reason = Some(format!("the branch {branch} has no upstream"));
        examined.branch = Some(branch);
        return Ok(examined);
    };
    let label = upstream.label();
    examined.branch = Some(branch);
    examined.upstream = Some(label.clone());
    let tip = match access {
        Some(access) => fetch::refresh(repo, &upstream, access, pool, learnt)?,
        None => upstream.remembered(repo)?,
    };
    let Some(tip) = tip else {
        examined.verdict.reason = Some(format!("the upstream {label} is not there (deleted?)"));
        return Ok(examined);
    };
    examined.verdict.to = Some(tip.to_string());
    let (verdict, reason) = compare(repo, &upstream, commit, tip)?;
    let changes = local_changes(repo)?;
    (examined.verdict.verdict, examined.verdict.reason) = if changes.is_empty() {
        (verdict, reason)
    } else {
        let named: Vec<String> = changes.into_iter().map(|path| with_template(repo, path)).collect();
        (Verdict::Dirty, Some(format!("changed here: {}", few(&named))))
    };
    if verdict == Verdict::Behind {
        examined.changed_files = changed_files(repo, &commit.to_string(), &tip.to_string())?;
        examined.trigger = trigger(repo, tip, trigger_dirs)?;
        examined.notes = notes(repo, tip)?;
    }
    Ok(examined)
}

fn compare(repo: &Repository, upstream: &Upstream, here: Oid, tip: Oid) -> Result<(Verdict, Option<String>)> {
    let label = upstream.label();
    let (ahead, behind) = repo.graph_ahead_behind(here, tip).context("failed to compare with the upstream")?;
    let commits = |n: usize| format!("{n} commit{}", if n == 1 { "" } else { "s" });
    Ok(match (ahead, behind) {
        (0, 0) => (Verdict::UpToDate, None),
        (0, _) => (Verdict::Behind, Some(format!("{} behind {label}", commits(behind)))),
        (_, 0) if rewound(repo, upstream, here, tip)? => (
            Verdict::Diverged,
            Some(format!("{label} was force-pushed: it has lost {} that this checkout has", commits(ahead))),
        ),
        (_, 0) => (Verdict::UpToDate, Some(format!("{} ahead of {label}", commits(ahead)))),
        _ => (
            Verdict::Diverged,
            Some(format!(
                "{} of its own and {} behind {label} (local commits, or a force-push)",
                commits(ahead),
                commits(behind)
            )),
        ),
    })
}

/// Whether the upstream once had commits that are checked out here and has them no more. A checkout
/// whose upstream went back looks like one with commits of its own; the log of the ref tells them
/// apart.
fn rewound(repo: &Repository, upstream: &Upstream, here: Oid, tip: Oid) -> Result<bool> {
    let Ok(log) = repo.reflog(&upstream.ours) else { return Ok(false) };
    for entry in log.iter().take(LOG_ENTRIES) {
        for id in [entry.id_old(), entry.id_new()] {
            if id.is_zero() || id == tip || repo.find_commit(id).is_err() {
                continue;
            }
            let here_had_it = id == here || repo.graph_descendant_of(here, id).context("failed to walk")?;
            if here_had_it && !repo.graph_descendant_of(tip, id).context("failed to walk")? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Tracked files that changed and untracked ones that are not ignored. Submodules are left out:
/// one at another commit would count as changed for ever.
fn local_changes(repo: &Repository) -> Result<Vec<String>> {
    let mut options = StatusOptions::new();
    options.include_untracked(true).exclude_submodules(true);
    let statuses = repo.statuses(Some(&mut options)).context("failed to look for local changes")?;
    Ok(statuses.iter().map(|entry| String::from_utf8_lossy(entry.path_bytes()).into_owned()).collect())
}

/// Says of a file that is made from a template how to keep it from being a change.
fn with_template(repo: &Repository, path: String) -> String {
    let template = format!("{path}.template");
    if repo.workdir().is_some_and(|root| root.join(template).is_file()) {
        format!("{path} (made from its .template: add it to .gitignore)")
    } else {
        path
    }
}

fn few(paths: &[String]) -> String {
    let shown = paths[..paths.len().min(5)].join(", ");
    if paths.len() > 5 { format!("{shown} and {} more", paths.len() - 5) } else { shown }
}

fn trigger(repo: &Repository, tip: Oid, dirs: &[PathBuf]) -> Result<Option<TriggerFile>> {
    let commit = repo.find_commit(tip).context("failed to read the upstream")?;
    for dir in dirs {
        let path = dir.join("autodeploy/conditional-trigger");
        if let Some((content, true)) = file_at(repo, &commit, &path)? {
            return Ok(Some(TriggerFile { path: path.to_string_lossy().into_owned(), content }));
        }
    }
    Ok(None)
}

fn notes(repo: &Repository, tip: Oid) -> Result<Vec<String>> {
    let commit = repo.find_commit(tip).context("failed to read the upstream")?;
    let mut notes = Vec::new();
    if let Some((text, _)) = file_at(repo, &commit, Path::new(".gitattributes"))?
        && String::from_utf8_lossy(&text).contains("filter=lfs")
    {
        notes.push("it has files that need git-lfs: they stay pointers".to_owned());
    }
    if file_at(repo, &commit, Path::new(".gitmodules"))?.is_some() {
        notes.push("it has submodules: they are not updated".to_owned());
    }
    Ok(notes)
}
