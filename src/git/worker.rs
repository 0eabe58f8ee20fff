//! A child process that does git work as the owner of a checkout.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use tempfile::TempPath;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::request::{Reply, Request};
use super::{Failure, Network, authorities};

/// How long a child may take to end once it has nothing more to do.
const FAREWELL: Duration = Duration::from_secs(2);

/// The child; killed with all its group when dropped.
pub(super) struct Worker {
    child: Child,
    /// `None` once the worker was told that nothing more comes.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// The authorities that it trusts, where they are not those of the machine.
    _authorities: Option<TempPath>,
}

impl Worker {
    /// Starts `<program> git` as the given user, when this process may do so.
    pub(super) fn start(program: &Path, owner: (u32, u32), network: &Network) -> Result<Self> {
        let authorities = network.ca_file.as_deref().map(authorities::with).transpose()?;
        let mut command = Command::new(program);
        // no HOME of anybody: nobody's ~/.gitconfig counts; set, or libgit2 looks into passwd
        command.arg("git").env_clear().env("HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
        // libgit2 and its TLS library read these when they begin, and only then
        command.envs(&network.proxies.0).envs(authorities.as_ref().map(|path| ("SSL_CERT_FILE", path)));
        command.current_dir("/").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if geteuid().is_root() && owner != (0, 0) {
            // drops the supplementary groups as well
            command.uid(owner.0).gid(owner.1);
        }
        let mut child = command.spawn().with_context(|| format!("failed to start {} git", program.display()))?;
        let stdin = Some(child.stdin.take().context("the git process has no input")?);
        let stdout = BufReader::new(child.stdout.take().context("the git process has no output")?);
        Ok(Self { child, stdin, stdout, _authorities: authorities })
    }

    /// One request, one reply. After an error the worker is of no more use.
    pub(super) async fn ask(&mut self, request: &Request, deadline: Duration) -> Result<Reply> {
        let mut line = serde_json::to_vec(request).context("failed to write a git request")?;
        line.push(b'\n');
        let answer = async {
            // a child that is gone already says so on its error output
            if let Some(stdin) = &mut self.stdin {
                let _ = stdin.write_all(&line).await;
            }
            let mut reply = Vec::new();
            self.stdout.read_until(b'\n', &mut reply).await.context("failed to read the git process")?;
            if reply.last() != Some(&b'\n') {
                return Err(Failure::Other(self.last_words().await).into());
            }
            serde_json::from_slice(&reply).context("failed to read the git process")
        };
        match timeout(deadline, answer).await {
            Ok(reply) => reply,
            Err(_) => Err(Failure::TimedOut(format!(
                "git work in {} was ended after {} s",
                request.checkout.display(),
                deadline.as_secs()
            ))
            .into()),
        }
    }

    async fn last_words(&mut self) -> String {
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut said).await;
        }
        let status = self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        let said = said.trim();
        format!("the git process ended ({status}){}{said}", if said.is_empty() { "" } else { ": " })
    }

    /// Lets the child end by itself, so that it leaves its remotes in good order.
    pub(super) async fn finish(mut self) {
        self.stdin = None;
        let _ = timeout(FAREWELL, self.child.wait()).await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // `id` is gone once the child was waited for, so no stranger's group is hit
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
