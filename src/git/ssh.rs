//! Sessions with hosts over ssh.

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ssh_key::{HashAlg, PublicKey};
use ssh2::{Channel, ErrorCode, MethodType, Session};

use super::Failure;
use super::known_hosts::{self, Standing};
use super::request::{Access, Key};
use super::url::SshTarget;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Host key algorithms that are asked for, the best first; no SHA-1.
const ALGORITHMS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// Open sessions by host, user and key: a second checkout on the same host costs no key exchange.
#[derive(Default)]
pub(super) struct Pool(HashMap<(String, Option<String>), Ssh>);

impl Pool {
    /// Runs `git-upload-pack` for a target and lets `talk` speak with it, all within the deadline.
    /// A session in which anything failed is not used again.
    pub(super) fn upload_pack<T>(
        &mut self,
        target: &SshTarget,
        access: &Access,
        learnt: &mut Vec<String>,
        mut talk: impl FnMut(&mut Pipe) -> Result<Option<T>>,
    ) -> Result<T> {
        let id = (target.to_string(), access.key.as_ref().map(|key| key.text.clone()));
        let deadline = Instant::now() + Duration::from_millis(access.deadline_ms);
        if let Some(ssh) = self.0.remove(&id)
            && let Ok(found) = ssh.upload_pack(target, deadline, &mut talk)
        {
            self.0.insert(id, ssh);
            return Ok(found);
        }
        let ssh = Ssh::open(target, access, deadline, learnt)?;
        let found = ssh.upload_pack(target, deadline, &mut talk)?;
        self.0.insert(id, ssh);
        Ok(found)
    }
}

/// A session that is authenticated.
struct Ssh {
    session: Session,
    wire: Wire,
}

impl Ssh {
    fn open(target: &SshTarget, access: &Access, deadline: Instant, learnt: &mut Vec<String>) -> Result<Self> {
        let stall = Duration::from_millis(access.stall_ms);
        let tcp = connect(target, deadline)?;
        let mut session = Session::new().context("failed to begin an ssh session")?;
        let wire = Wire(tcp.try_clone().context("failed to keep a hold on a connection")?);
        session.set_timeout(u32::try_from(stall.as_millis()).unwrap_or(u32::MAX));
        let known = known_hosts::types(&access.known_hosts, &target.host, target.port);
        session.method_pref(MethodType::HostKey, &preferred(&known)).context("failed to choose host keys")?;
        session.set_tcp_stream(tcp);
        let guard = wire.guard(deadline);
        let ready = session
            .handshake()
            .map_err(|error| unreachable(target, &error, stall))
            .and_then(|()| check_host(&session, target, access, learnt))
            .and_then(|()| log_in(&session, target, access, stall));
        let passed = guard.passed();
        // on failure the drop of this cuts the connection first, or each step of libssh2's clean-up
        // waits for a silent host once more
        let ssh = Self { session, wire };
        match ready {
            Ok(()) => Ok(ssh),
            Err(_) if passed => Err(out_of_time(target)),
            Err(error) => Err(error),
        }
    }

    fn upload_pack<T>(
        &self,
        target: &SshTarget,
        deadline: Instant,
        talk: &mut impl FnMut(&mut Pipe) -> Result<Option<T>>,
    ) -> Result<T> {
        let guard = self.wire.guard(deadline);
        let mut pipe = None;
        let outcome = self.start(target, &mut pipe).and_then(|pipe| {
            let Some(found) = talk(pipe)? else {
                // closed before the first word: git's own reason is on the other stream
                let mut said = String::new();
                let _ = pipe.0.stderr().read_to_string(&mut said);
                let said = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
                bail!(Failure::Unreachable(if said.is_empty() {
                    format!("{target} closed the connection without a word")
                } else {
                    format!("{target} says: {said}")
                }));
            };
            pipe.finish().with_context(|| format!("failed to end the talk with {target}"))?;
            Ok(found)
        });
        outcome.map_err(|error| {
            let late = guard.passed();
            self.wire.cut();
            match error.downcast::<Failure>() {
                Ok(failure) => failure.into(),
                Err(_) if late => out_of_time(target),
                Err(error) => Failure::Unreachable(format!("{target}: {error:#}")).into(),
            }
        })
    }

    fn start<'p>(&self, target: &SshTarget, pipe: &'p mut Option<Pipe>) -> Result<&'p mut Pipe> {
        let mut channel = self.session.channel_session().context("failed to open a channel")?;
        // refused where sshd has no AcceptEnv for it; the talk then goes on in protocol 0
        let _ = channel.setenv("GIT_PROTOCOL", "version=2");
        channel
            .exec(&format!("git-upload-pack '{}'", target.path.replace('\'', r"'\''")))
            .context("failed to start git-upload-pack")?;
        Ok(pipe.insert(Pipe(channel)))
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        self.wire.cut();
    }
}

/// The two streams of a remote program.
pub(super) struct Pipe(Channel);

impl Pipe {
    fn finish(&mut self) -> Result<()> {
        self.0.send_eof()?;
        // closing before the end was read is an error in libssh2
        std::io::copy(&mut self.0, &mut std::io::sink())?;
        self.0.close()?;
        Ok(self.0.wait_close()?)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// A second hold on the connection, to cut it whatever libssh2 is waiting for.
struct Wire(TcpStream);

impl Wire {
    fn cut(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Cuts the connection at the deadline unless the guard is dropped before.
    fn guard(&self, deadline: Instant) -> Guard {
        let (alive, gone) = channel::<()>();
        let passed = Arc::new(AtomicBool::new(false));
        if let Ok(tcp) = self.0.try_clone() {
            let passed = passed.clone();
            thread::spawn(move || {
                let left = deadline.saturating_duration_since(Instant::now());
                if gone.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                    passed.store(true, Ordering::SeqCst);
                    let _ = tcp.shutdown(Shutdown::Both);
                }
            });
        }
        Guard { passed, _alive: alive }
    }
}

struct Guard {
    passed: Arc<AtomicBool>,
    _alive: Sender<()>,
}

impl Guard {
    fn passed(&self) -> bool {
        self.passed.load(Ordering::SeqCst)
    }
}

fn connect(target: &SshTarget, deadline: Instant) -> Result<TcpStream> {
    let fail = |why: &dyn fmt::Display| Failure::Unreachable(format!("{target} cannot be reached: {why}"));
    let addresses = (target.host.as_str(), target.port).to_socket_addrs().map_err(|e| fail(&e))?;
    let mut last = fail(&"its name has no address");
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(out_of_time(target));
        }
        match TcpStream::connect_timeout(&address, left.min(CONNECT)) {
            Ok(tcp) => {
                // without it each small packet waits for the answer to the one before
                tcp.set_nodelay(true).context("failed to set up a connection")?;
                return Ok(tcp);
            }
            Err(error) => last = fail(&error),
        }
    }
    Err(last.into())
}

fn preferred(known: &[String]) -> String {
    let mut order: Vec<&str> = ALGORITHMS.to_vec();
    let is_known = |algorithm: &str| {
        known.iter().any(|k| k == algorithm || (k == "ssh-rsa" && algorithm.starts_with("rsa-sha2-")))
    };
    order.sort_by_key(|algorithm| !is_known(algorithm));
    order.join(",")
}

fn check_host(session: &Session, target: &SshTarget, access: &Access, learnt: &mut Vec<String>) -> Result<()> {
    let (blob, _) = session.host_key().with_context(|| format!("{target} has shown no host key"))?;
    let key = PublicKey::from_bytes(blob).with_context(|| format!("the host key of {target} cannot be read"))?;
    let print = key.fingerprint(HashAlg::Sha256);
    let name = known_hosts::name(&target.host, target.port);
    match known_hosts::judge(&access.known_hosts, &target.host, target.port, &key) {
        Standing::Known => Ok(()),
        Standing::Revoked => bail!(Failure::HostKeyChanged(format!(
            "the host key of {name} ({print}) is marked as revoked in known_hosts: not connected"
        ))),
        Standing::Changed => bail!(Failure::HostKeyChanged(format!(
            "the host key of {name} has CHANGED (now {} {print}): somebody may be listening in, so it was not \
             connected; if the host really has a new key, put it into known_hosts in the key folder and take the \
             old line out",
            key.algorithm()
        ))),
        Standing::New if access.strict => bail!(Failure::HostKeyUnknown(format!(
            "the host key of {name} ({} {print}) is not known: add it to known_hosts in the key folder, or allow \
             new hosts with AUTODEPLOY_HOST_KEYS=accept-new",
            key.algorithm()
        ))),
        Standing::New => {
            learnt.push(format!("{name} {}", key.to_openssh().context("the host key cannot be written")?));
            Ok(())
        }
    }
}

fn log_in(session: &Session, target: &SshTarget, access: &Access, stall: Duration) -> Result<()> {
    let Some(Key { path, text }) = &access.key else {
        let wanted = access.key_wanted.as_ref();
        bail!(Failure::Auth(match wanted {
            Some(wanted) => format!("there is no deploy key for {target}: put it at {}", wanted.display()),
            None => format!("there is no deploy key for {target}: set AUTODEPLOY_DEPLOY_KEY_ROOT_DIR"),
        }));
    };
    if text.contains("ENCRYPTED") || ssh_key::PrivateKey::from_openssh(text).is_ok_and(|key| key.is_encrypted()) {
        bail!(Failure::Auth(format!("the key {} has a passphrase: a deploy key must have none", path.display())));
    }
    // an editor's line ends, or none at the end, are no reason to fail
    let text = format!("{}\n", text.replace('\r', "").trim_end());
    let mut outcome = session.userauth_pubkey_memory(&target.user, None, &text, None);
    if outcome.as_ref().is_err_and(|error| !refused(error) && !silent(error)) {
        // some forms of keys are only read from files
        let mut file = tempfile::NamedTempFile::new().context("failed to lay down a key")?;
        file.write_all(text.as_bytes()).context("failed to lay down a key")?;
        outcome = session.userauth_pubkey_file(&target.user, None, file.path(), None);
    }
    outcome.map_err(|error| {
        if refused(&error) {
            Failure::Auth(format!("{target} refused the key {}", path.display())).into()
        } else if silent(&error) {
            unreachable(target, &error, stall)
        } else {
            Failure::Auth(format!("the key {} cannot be used: {}", path.display(), error.message())).into()
        }
    })
}

/// LIBSSH2_ERROR_AUTHENTICATION_FAILED, LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED.
fn refused(error: &ssh2::Error) -> bool {
    matches!(error.code(), ErrorCode::Session(-18 | -19))
}

/// LIBSSH2_ERROR_TIMEOUT, and the connection errors SOCKET_SEND, SOCKET_DISCONNECT, SOCKET_RECV.
fn silent(error: &ssh2::Error) -> bool {
    matches!(error.code(), ErrorCode::Session(-9 | -7 | -13 | -43))
}

fn unreachable(target: &SshTarget, error: &ssh2::Error, stall: Duration) -> anyhow::Error {
    Failure::Unreachable(match error.code() {
        ErrorCode::Session(-9) => format!("{target} did not answer within {} s", stall.as_secs()),
        _ => format!("{target}: no ssh session: {}", error.message()),
    })
    .into()
}

fn out_of_time(target: &SshTarget) -> anyhow::Error {
    Failure::TimedOut(format!("{target} did not finish in time")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_are_asked_for_first() {
        assert!(preferred(&[]).starts_with("ssh-ed25519,ecdsa"));
        assert!(preferred(&["ssh-rsa".to_owned()]).starts_with("rsa-sha2-512,rsa-sha2-256,ssh-ed25519"));
        assert!(preferred(&["ecdsa-sha2-nistp384".to_owned()]).starts_with("ecdsa-sha2-nistp384,ssh-ed25519"));
    }
}
