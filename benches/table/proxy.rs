//! The engine's socket with a counter before it: what a program asks the engine, call by call.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Listens until the process ends; its socket goes with it.
pub(crate) struct Proxy {
    folder: tempfile::TempDir,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A socket that hands everything on to that of the engine.
    pub(crate) fn before(engine: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let listener = UnixListener::bind(folder.path().join("docker.sock"))?;
        let calls = Arc::<Mutex<Vec<String>>>::default();
        let (engine, noted) = (engine.to_owned(), Arc::clone(&calls));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (engine, noted) = (engine.clone(), Arc::clone(&noted));
                thread::spawn(move || pass(client, &engine, &noted));
            }
        });
        Ok(Self { folder, calls })
    }

    /// The socket, a path of this host: containers can mount it.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// The socket as `DOCKER_HOST` takes it.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The calls since the last time that somebody asked, as `POST /containers/create`: without
    /// version and query, ids and names as `*`.
    pub(crate) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One connection, both ways. Either end may close first.
fn pass(client: UnixStream, engine: &Path, calls: &Mutex<Vec<String>>) -> Option<()> {
    let engine = UnixStream::connect(engine).ok()?;
    let (mut answers, mut to_client) = (engine.try_clone().ok()?, client.try_clone().ok()?);
    thread::spawn(move || {
        io::copy(&mut answers, &mut to_client).ok();
        to_client.shutdown(Shutdown::Write).ok();
    });
    let mut to_engine = engine.try_clone().ok()?;
    requests(&mut BufReader::new(client), &mut to_engine, calls).ok();
    engine.shutdown(Shutdown::Write).ok()
}

/// Hands on request after request. What follows an upgrade, or a body of unknown length, is no
/// request any more.
fn requests(from: &mut impl BufRead, to: &mut impl Write, calls: &Mutex<Vec<String>>) -> io::Result<()> {
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if from.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        calls.lock().unwrap_or_else(PoisonError::into_inner).push(call(&head));
        to.write_all(head.as_bytes())?;
        let header = |name: &str| {
            head.lines().filter_map(|l| l.split_once(':')).find(|h| h.0.eq_ignore_ascii_case(name)).map(|h| h.1.trim())
        };
        if header("upgrade").is_some() || header("transfer-encoding").is_some() {
            return io::copy(from, to).map(drop);
        }
        let length = header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
        io::copy(&mut from.by_ref().take(length), to)?;
    }
}

fn call(head: &str) -> String {
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let known = |part: &&str| KNOWN.contains(part);
    let versioned = |part: &&str| part.strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
    let parts = path.split('/').filter(|part| !part.is_empty() && !versioned(part));
    let shown: Vec<&str> = parts.map(|part| if known(&part) { part } else { "*" }).collect();
    format!("{method} /{}", shown.join("/"))
}

/// Words of paths that are no id or name.
const KNOWN: &[&str] = &[
    "_ping",
    "archive",
    "attach",
    "containers",
    "create",
    "events",
    "exec",
    "images",
    "info",
    "json",
    "kill",
    "logs",
    "networks",
    "pause",
    "rename",
    "resize",
    "start",
    "stop",
    "system",
    "unpause",
    "update",
    "version",
    "volumes",
    "wait",
];
