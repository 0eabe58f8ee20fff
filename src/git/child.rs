//! The child's side: requests in, replies out, one JSON line each.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use git2::ErrorCode;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use serde::Serialize;
use serde_json::Value;

use super::request::{Reply, Request, What};
use super::ssh::Pool;
use super::{Failure, examine, foreign, history, inplace, record, repo, switch, tree};
use crate::secret::redact;

/// Answers requests until the input ends or nobody reads any more: the body of the hidden
/// subcommand `tender git`, which runs as the owner of the checkout.
pub fn child_main(input: impl Read, mut output: impl Write) {
    // the requests hold a key that the owner of this process may not have
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let mut pool = Pool::default();
    for line in BufReader::new(input).split(b'\n') {
        let Ok(line) = line else { return };
        let reply = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => answer(&request, &mut pool),
            Err(error) => Reply {
                learnt: Vec::new(),
                outcome: Err(Failure::Other(format!("failed to read a git request: {error}"))),
            },
        };
        let Ok(mut line) = serde_json::to_vec(&reply) else { return };
        line.push(b'\n');
        if output.write_all(&line).and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}

fn answer(request: &Request, pool: &mut Pool) -> Reply {
    let mut learnt = Vec::new();
    let outcome = perform(&request.checkout, &request.what, pool, &mut learnt);
    let outcome = outcome.map_err(|error| typed(&error, &request.checkout));
    Reply { learnt, outcome }
}

fn perform(checkout: &Path, what: &What, pool: &mut Pool, learnt: &mut Vec<String>) -> Result<Value> {
    let repo = || repo::open(checkout);
    match what {
        What::Examine { access, trigger_dirs } => {
            value(examine::examine(&repo()?, checkout, access.as_ref(), trigger_dirs, pool, learnt)?)
        }
        What::Head => value(repo::head_commit(&repo()?)?.to_string()),
        What::Materialise { commit, dir } => {
            let repo = repo()?;
            // the folder is named by its handle below /proc/self, which is closed until now
            set_dumpable_behavior(DumpableBehavior::Dumpable)?;
            let outcome = tree::materialise(&repo, commit, dir);
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
            value(outcome?)
        }
        What::Leftovers => value(tree::leftovers(&repo()?)?),
        What::Obstacles { to } => value(switch::can_switch(&repo()?, to)?),
        What::Switch { from, to, resume: false } => value(switch::switch(&repo()?, from, to)?),
        What::Switch { from, to, resume: true } => value(switch::resume(&repo()?, from, to)?),
        What::Keep { name, commit } => value(history::keep(&repo()?, name, commit)?),
        What::Kept => value(history::kept(&repo()?)?),
        What::Unkeep { name } => value(history::unkeep(&repo()?, name)?),
        What::ChangedFiles { from, to } => value(history::changed_files(&repo()?, from, to)?),
        What::FileAt { commit, path } => {
            let repo = repo()?;
            value(history::file_at(&repo, &repo::commit(&repo, commit)?, path)?)
        }
        What::Log { from, to, limit } => value(history::log(&repo()?, from, to, *limit)?),
        What::WriteRecord { name, bytes } => value(record::write(repo()?.path(), name, bytes)?),
        What::Occupants { paths } => {
            let look = |path: &PathBuf| inplace::look(checkout, path).map_err(|error| repo::sentence(&error));
            value(paths.iter().map(look).collect::<Vec<_>>())
        }
        What::WriteInPlace { files } => value(inplace::write(checkout, files)?),
        What::ReadRecord { name } => value(record::read(repo()?.path(), name)?),
    }
}

fn value(found: impl Serialize) -> Result<Value> {
    Ok(serde_json::to_value(found)?)
}

/// The failure that an error stands for, its text fit to be shown.
fn typed(error: &anyhow::Error, checkout: &Path) -> Failure {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.clone();
    }
    let mut text = redact(&repo::sentence(error));
    let owner = error.chain().any(|cause| {
        cause.downcast_ref::<git2::Error>().is_some_and(|e| matches!(e.code(), ErrorCode::Owner | ErrorCode::Locked))
    });
    if owner || text.contains("ermission denied") {
        text.push_str(&whose(checkout));
    }
    Failure::Other(text)
}

/// Says which file is not the owner's, the usual reason when something may not be written.
fn whose(checkout: &Path) -> String {
    let Ok(top) = std::fs::metadata(checkout) else { return String::new() };
    match foreign::first(checkout, top.uid()) {
        Some((path, uid)) => format!(
            "; {} belongs to user {uid} and the checkout to user {}: `chown -R {}:{} {}` puts that right",
            path.display(),
            top.uid(),
            top.uid(),
            top.gid(),
            checkout.display()
        ),
        None => String::new(),
    }
}
