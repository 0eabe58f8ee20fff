//! Asking a remote for one ref, and fetching it when it is new.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use git2::{
    AutotagOption, Cred, CredentialType, Direction, ErrorClass, ErrorCode, FetchOptions, Oid, ProxyOptions,
    RemoteCallbacks, Repository,
};

use super::Failure;
use super::repo::Upstream;
use super::request::Access;
use super::ssh::Pool;
use super::upload_pack::{self, Haves};
use super::url::ssh_target;
use crate::secret::redact;

/// Most commits that a remote is told of.
const MOST_HAVES: usize = 256;

/// Brings `upstream.ours` up to date; `None` when the remote has no such ref any more.
pub(super) fn refresh(
    repo: &Repository,
    upstream: &Upstream,
    access: &Access,
    pool: &mut Pool,
    learnt: &mut Vec<String>,
) -> Result<Option<Oid>> {
    let Some(name) = &upstream.remote else { return upstream.remembered(repo) };
    let remote = repo.find_remote(name).with_context(|| format!("there is no remote {name}"))?;
    let url = remote.url().with_context(|| format!("the remote {name} has no address"))?.to_owned();
    let Some(target) = ssh_target(&url) else {
        return over_libgit2(repo, remote, &url, upstream, access);
    };
    let tip = pool.upload_pack(&target, access, learnt, |pipe| {
        let Some(talk) = upload_pack::ask(pipe, &upstream.theirs)? else { return Ok(None) };
        let tip = talk.tip.as_deref().map(Oid::from_str).transpose().context("the remote sent no commit id")?;
        match tip {
            Some(tip) if !present(repo, tip)? => {
                let odb = repo.odb().context("failed to open the object store")?;
                let mut pack = odb.packwriter().context("failed to begin a pack")?;
                talk.fetch(pipe, &haves(repo, upstream)?, &mut pack)?;
                pack.commit().context("the pack that the remote sent is damaged")?;
            }
            // a remote that hangs up first has said all that matters
            _ => drop(talk.leave(pipe)),
        }
        Ok(Some(tip))
    })?;
    if let Some(tip) = tip {
        repo.find_commit(tip).with_context(|| format!("the remote did not send {tip}"))?;
        remember(repo, upstream, tip)?;
    }
    Ok(tip)
}

fn present(repo: &Repository, id: Oid) -> Result<bool> {
    Ok(repo.odb().context("failed to open the object store")?.exists(id))
}

fn remember(repo: &Repository, upstream: &Upstream, tip: Oid) -> Result<()> {
    if repo.refname_to_id(&upstream.ours).ok() != Some(tip) {
        repo.reference(&upstream.ours, tip, true, "tender: fetch")
            .with_context(|| format!("failed to write {}", upstream.ours))?;
    }
    Ok(())
}

/// The ends of what is here, the likeliest to be common first, then some history of `HEAD`: after
/// a force-push the remote may know none of the ends.
fn haves(repo: &Repository, upstream: &Upstream) -> Result<Haves> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |id: Oid| {
        if found.len() < MOST_HAVES && seen.insert(id) {
            found.push(id.to_string());
        }
    };
    if let Some(id) = upstream.remembered(repo)? {
        add(id);
    }
    let mut walk = repo.revwalk().context("failed to walk the history")?;
    if walk.push_head().is_ok() {
        walk.by_ref().take(MOST_HAVES / 2).filter_map(Result::ok).for_each(&mut add);
    }
    for pattern in ["refs/remotes/*", "refs/heads/*", "refs/tender/*"] {
        for reference in repo.references_glob(pattern).context("failed to list refs")?.flatten() {
            if let Ok(commit) = reference.peel_to_commit() {
                add(commit.id());
            }
        }
    }
    Ok(Haves { commits: found, shallow: shallow(repo.commondir()) })
}

fn shallow(git_dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(git_dir.join("shallow")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// https, files and whatever else libgit2 has of its own.
fn over_libgit2(
    repo: &Repository,
    mut remote: git2::Remote<'_>,
    url: &str,
    upstream: &Upstream,
    access: &Access,
) -> Result<Option<Oid>> {
    let about = |error: git2::Error| translate(error, url, access);
    let tip = {
        let connection =
            remote.connect_auth(Direction::Fetch, Some(callbacks(access)), Some(proxy())).map_err(about)?;
        let heads = connection.list().map_err(about)?;
        heads.iter().find(|head| head.name() == upstream.theirs).map(git2::RemoteHead::oid)
    };
    let Some(tip) = tip else { return Ok(None) };
    if present(repo, tip)? {
        remember(repo, upstream, tip)?;
        return Ok(Some(tip));
    }
    let mut options = FetchOptions::new();
    options.proxy_options(proxy());
    options.remote_callbacks(callbacks(access)).download_tags(AutotagOption::None).update_fetchhead(false);
    let refspec = format!("+{}:{}", upstream.theirs, upstream.ours);
    remote.fetch(&[refspec], Some(&mut options), Some("tender: fetch")).map_err(about)?;
    upstream.remembered(repo)
}

/// As the repository's configuration or this process's environment say.
fn proxy<'a>() -> ProxyOptions<'a> {
    let mut options = ProxyOptions::new();
    options.auto();
    options
}

fn callbacks(access: &Access) -> RemoteCallbacks<'_> {
    let mut callbacks = RemoteCallbacks::new();
    let mut asked = false;
    callbacks.credentials(move |_, user, allowed| {
        // a refused token is asked for again and again
        if std::mem::replace(&mut asked, true) || !allowed.contains(CredentialType::USER_PASS_PLAINTEXT) {
            return Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Http, "the token was refused"));
        }
        let Some(token) = access.token.as_deref() else {
            return Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Http, "there is no token for it"));
        };
        let (name, token) = token.split_once(':').unwrap_or((user.unwrap_or("git"), token));
        Cred::userpass_plaintext(name, token)
    });
    callbacks
}

fn translate(error: git2::Error, url: &str, access: &Access) -> anyhow::Error {
    // of this side, not of the remote's
    if matches!(error.code(), ErrorCode::Locked | ErrorCode::Owner) || error.message().contains("ermission denied") {
        return anyhow::Error::new(error).context("failed to fetch");
    }
    let text = redact(&format!("{url}: {}", error.message()));
    match (error.code(), error.class()) {
        (ErrorCode::Auth, _) if access.token.is_none() => {
            Failure::Auth(format!("{text}; a token goes into <checkout>_token in the key folder")).into()
        }
        (ErrorCode::Auth, _) => Failure::Auth(text).into(),
        (ErrorCode::Certificate, _) => Failure::HostKeyChanged(text).into(),
        _ => Failure::Unreachable(text).into(),
    }
}
