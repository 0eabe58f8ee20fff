//! The parent's side: what the rest of the house asks of git.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use rustix::fs::{Gid, Mode, OFlags, Uid, fchown};
use rustix::io::FdFlags;
use serde::de::DeserializeOwned;

use super::history::path_of;
use super::inplace::{InPlace, Occupant};
use super::known_hosts::SHIPPED;
use super::place::{owner, toplevel};
use super::request::{Access, Examined, Failure, Reply, Request, What};
use super::worker::Worker;
use super::{keys, learn};
use crate::run::Verdict;
use crate::secret::Environment;

/// Longest silence of a remote.
const STALL: Duration = Duration::from_secs(30);
/// Children that work side by side when many checkouts are looked at.
const ABREAST: usize = 4;

/// What happens with the key of a host that is not known. A changed key is always refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostKeyPolicy {
    /// It is accepted and remembered.
    #[default]
    AcceptNew,
    /// It is refused.
    Strict,
}

/// How git work is done.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// The own executable; its subcommand `git` must call [`super::child_main`].
    pub program: PathBuf,
    /// Folder with deploy keys, tokens and `known_hosts`.
    pub key_dir: Option<PathBuf>,
    /// File in which the keys of new hosts are remembered.
    pub known_hosts: PathBuf,
    /// What happens with the keys of new hosts.
    pub host_keys: HostKeyPolicy,
    /// Longest time for one request, a fetch included; then its process is killed.
    pub deadline: Duration,
    /// Folder of the stack's compose file: where, after the root of a checkout, a conditional
    /// trigger is looked for.
    pub compose_dir: Option<PathBuf>,
    /// How remotes over http are reached.
    pub network: Network,
}

/// How remotes over http are reached.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The variables of the proxies, as programs read them.
    pub proxies: Environment,
    /// File with certificate authorities (PEM) that are trusted beside those of the machine.
    pub ca_file: Option<PathBuf>,
}

/// Git work on checkouts, each request in a process of the checkout's owner. A request whose future
/// is dropped is killed with its process.
#[derive(Debug, Clone)]
pub struct Git {
    options: GitOptions,
}

impl Git {
    /// Nothing is started or read yet.
    pub const fn new(options: GitOptions) -> Self {
        Self { options }
    }

    /// Asks the remote for the one ref that the checkout follows, fetches when it is new, and gives
    /// the verdict. Never fails: what could not be found out is [`Verdict::Unknown`].
    pub async fn examine(&self, checkout: &Path) -> Examined {
        self.survey(&RefCell::default(), checkout, true).await
    }

    /// The same from what is known here, without any network.
    pub async fn look(&self, checkout: &Path) -> Examined {
        self.survey(&RefCell::default(), checkout, false).await
    }

    /// [`Git::examine`] for many checkouts, in their order: few processes, few ssh sessions.
    pub async fn examine_all(&self, checkouts: &[PathBuf]) -> Vec<Examined> {
        let queue: RefCell<VecDeque<usize>> = RefCell::new((0..checkouts.len()).collect());
        let found: RefCell<Vec<Option<Examined>>> = RefCell::new(vec![None; checkouts.len()]);
        let work = async || {
            let worker = RefCell::default();
            loop {
                let Some(next) = queue.borrow_mut().pop_front() else { break };
                let examined = self.survey(&worker, &checkouts[next], true).await;
                found.borrow_mut()[next] = Some(examined);
            }
            if let Some((_, worker)) = worker.into_inner() {
                worker.finish().await;
            }
        };
        join_all((0..ABREAST.min(checkouts.len())).map(|_| work())).await;
        found.into_inner().into_iter().flatten().collect()
    }

    /// The commit that is checked out.
    ///
    /// # Errors
    /// As all of the following: a [`Failure`] that names the reason, or when the git process could
    /// not be started.
    pub async fn head(&self, checkout: &Path) -> Result<String> {
        self.ask(checkout, What::Head).await
    }

    /// Writes the files of a commit below a folder that exists; submodules become empty folders.
    /// The folder is given to the checkout's owner; it need not be able to reach it by its path.
    ///
    /// # Errors
    /// See [`Git::head`]; a partly written folder then stays.
    pub async fn materialise(&self, checkout: &Path, commit: &str, dir: &Path) -> Result<()> {
        let about = || format!("failed to open {}", dir.display());
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let handle = rustix::fs::open(dir, flags, Mode::empty()).with_context(about)?;
        if rustix::process::geteuid().is_root() {
            let (uid, gid) = owner(checkout)?;
            fchown(&handle, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).with_context(about)?;
        }
        // by its handle, because the folders above are often root's alone
        rustix::io::fcntl_setfd(&handle, FdFlags::empty()).with_context(about)?;
        let dir = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        self.ask(checkout, What::Materialise { commit: commit.to_owned(), dir }).await
    }

    /// Untracked and ignored entries, relative to the checkout; a folder that holds nothing tracked
    /// is one entry.
    ///
    /// # Errors
    /// See [`Git::head`].
    pub async fn leftovers(&self, checkout: &Path) -> Result<Vec<PathBuf>> {
        let found: Vec<Vec<u8>> = self.ask(checkout, What::Leftovers).await?;
        Ok(found.iter().map(|bytes| path_of(bytes)).collect())
    }

    /// What would keep the checkout from being switched to a commit, in words; empty when nothing.
    ///
    /// # Errors
    /// See [`Git::head`].
    pub async fn can_switch(&self, checkout: &Path, to: &str) -> Result<Vec<String>> {
        self.ask(checkout, What::Obstacles { to: to.to_owned() }).await
    }

    /// Moves branch, index and files from one commit to another, forwards or back. Existing files
    /// are rewritten in place, untracked and ignored ones stay. Durable when it returns. Already
    /// being there is fine.
    ///
    /// With `resume` it finishes one that was begun and killed, taking the caller's word that the
    /// way was free when it began.
    ///
    /// # Errors
    /// See [`Git::head`]; with [`Failure::Obstacles`] nothing was changed.
    pub async fn switch(&self, checkout: &Path, from: &str, to: &str, resume: bool) -> Result<()> {
        self.ask(checkout, What::Switch { from: from.to_owned(), to: to.to_owned(), resume }).await
    }

    /// Keeps a commit from being collected, by a ref such as `refs/tender/good/7`.
    ///
    /// # Errors
    /// See [`Git::head`]; also when the name is not below `refs/tender/`.
    pub async fn keep(&self, checkout: &Path, name: &str, commit: &str) -> Result<()> {
        self.ask(checkout, What::Keep { name: name.to_owned(), commit: commit.to_owned() }).await
    }

    /// The refs that [`Git::keep`] wrote, with their commits.
    ///
    /// # Errors
    /// See [`Git::head`].
    pub async fn kept(&self, checkout: &Path) -> Result<Vec<(String, String)>> {
        self.ask(checkout, What::Kept).await
    }

    /// Removes such a ref; gone already is fine.
    ///
    /// # Errors
    /// See [`Git::keep`].
    pub async fn unkeep(&self, checkout: &Path, name: &str) -> Result<()> {
        self.ask(checkout, What::Unkeep { name: name.to_owned() }).await
    }

    /// Status letter (`A`, `D`, `M`, `T`) and path of every file that differs between two commits.
    ///
    /// # Errors
    /// See [`Git::head`].
    pub async fn changed_files(&self, checkout: &Path, from: &str, to: &str) -> Result<Vec<(char, String)>> {
        self.ask(checkout, What::ChangedFiles { from: from.to_owned(), to: to.to_owned() }).await
    }

    /// A file of a commit and whether it is executable; `None` when the commit has no such file.
    ///
    /// # Errors
    /// See [`Git::head`].
    pub async fn file_at(&self, checkout: &Path, commit: &str, path: &Path) -> Result<Option<(Vec<u8>, bool)>> {
        self.ask(checkout, What::FileAt { commit: commit.to_owned(), path: path.to_owned() }).await
    }

    /// The commits that `to` has and `from` lacks, newest first, as `abc1234 subject`.
    ///
    /// # Errors
    /// See [`Git::head`].
    pub async fn log(&self, checkout: &Path, from: &str, to: &str, limit: usize) -> Result<Vec<String>> {
        self.ask(checkout, What::Log { from: from.to_owned(), to: to.to_owned(), limit }).await
    }

    /// Replaces `<git dir>/tender/<name>`, as the owner; durable when it returns.
    ///
    /// # Errors
    /// See [`Git::head`].
    pub async fn write_record(&self, checkout: &Path, name: &str, bytes: &[u8]) -> Result<()> {
        self.ask(checkout, What::WriteRecord { name: name.to_owned(), bytes: bytes.to_owned() }).await
    }

    /// Reads such a record; `None` when there is none.
    ///
    /// # Errors
    /// See [`Git::head`].
    pub async fn read_record(&self, checkout: &Path, name: &str) -> Result<Option<Vec<u8>>> {
        self.ask(checkout, What::ReadRecord { name: name.to_owned() }).await
    }

    /// What lies at paths relative to a folder, where files are to be written; or in words what
    /// keeps them from being written. Folders that do not exist yet hold nothing.
    ///
    /// # Errors
    /// See [`Git::head`].
    pub async fn occupants(&self, folder: &Path, paths: Vec<PathBuf>) -> Result<Vec<Result<Occupant, String>>> {
        self.ask(folder, What::Occupants { paths }).await
    }

    /// Writes files below a folder, in place and only where they differ, as the owner of the
    /// checkout around it, or of itself. Gives those that git takes for a change of the checkout.
    /// Durable when it returns; doing it again is fine.
    ///
    /// # Errors
    /// See [`Git::head`]; what was written before the failure stays.
    pub async fn write_in_place(&self, folder: &Path, files: Vec<InPlace>) -> Result<Vec<PathBuf>> {
        self.ask(folder, What::WriteInPlace { files }).await
    }

    async fn survey(&self, worker: &Place, checkout: &Path, network: bool) -> Examined {
        if !checkout.is_dir() {
            let reason = format!("there is no folder {}", checkout.display());
            return Examined::plain(checkout, Verdict::Missing, Some(reason));
        }
        if !checkout.join(".git").exists() {
            let reason = format!("{} is no git checkout", checkout.display());
            return Examined::plain(checkout, Verdict::NotARepo, Some(reason));
        }
        let trigger_dirs = self.trigger_dirs(checkout);
        let outcome = async {
            let access = if network { Some(self.access(checkout)?) } else { None };
            self.ask_in(worker, checkout, What::Examine { access, trigger_dirs }).await
        };
        outcome.await.unwrap_or_else(|error: anyhow::Error| {
            let failure = error.downcast::<Failure>().unwrap_or_else(|error| Failure::Other(format!("{error:#}")));
            Examined::failed(checkout, failure)
        })
    }

    fn trigger_dirs(&self, checkout: &Path) -> Vec<PathBuf> {
        let inside = self.options.compose_dir.as_deref().and_then(|dir| dir.strip_prefix(checkout).ok());
        let inside = inside.filter(|dir| !dir.as_os_str().is_empty()).map(Path::to_path_buf);
        std::iter::once(PathBuf::new()).chain(inside).collect()
    }

    fn access(&self, checkout: &Path) -> Result<Access, Failure> {
        let ring = keys::read(self.options.key_dir.as_deref(), checkout)?;
        let learnt = keys::text(&self.options.known_hosts)?.unwrap_or_default();
        let deadline = self.options.deadline;
        // the child gives up a little earlier, to say why
        let own = deadline - (deadline / 4).min(Duration::from_secs(2));
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Ok(Access {
            key: ring.key,
            key_wanted: ring.wanted,
            token: ring.token,
            known_hosts: format!("{}\n{learnt}\n{SHIPPED}", ring.known_hosts),
            strict: self.options.host_keys == HostKeyPolicy::Strict,
            stall_ms: millis(STALL.min(own)),
            deadline_ms: millis(own),
        })
    }

    async fn ask<T: DeserializeOwned>(&self, checkout: &Path, what: What) -> Result<T> {
        let worker = RefCell::default();
        let found = self.ask_in(&worker, checkout, what).await;
        if let Some((_, worker)) = worker.into_inner() {
            worker.finish().await;
        }
        found.with_context(|| format!("checkout {}", checkout.display()))
    }

    /// Asks the worker in `place`, or a new one when there is none for this owner; leaves it there
    /// unless it failed.
    async fn ask_in<T: DeserializeOwned>(&self, place: &Place, checkout: &Path, what: What) -> Result<T> {
        let owner = owner(&toplevel(checkout).unwrap_or_else(|| checkout.to_owned()))?;
        let at_hand = place.borrow_mut().take().filter(|(its, _)| *its == owner);
        let mut worker = match at_hand {
            Some((_, worker)) => worker,
            None => Worker::start(&self.options.program, owner, &self.options.network)?,
        };
        let request = Request { checkout: checkout.to_owned(), what };
        let Reply { learnt, outcome } = worker.ask(&request, self.options.deadline).await?;
        *place.borrow_mut() = Some((owner, worker));
        if !learnt.is_empty()
            && let Err(error) = learn::add(&self.options.known_hosts, &learnt)
        {
            // the work itself is done; the host is new again next time
            tracing::warn!("{error:#}");
        }
        serde_json::from_value(outcome?).context("the git process sent another reply than was asked for")
    }
}

/// Where a worker is left for the next request, with the owner that it works for.
type Place = RefCell<Option<((u32, u32), Worker)>>;
