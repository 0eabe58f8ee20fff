//! The connection: where the engine is, and which version of the API it speaks.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard::API_DEFAULT_VERSION;
use tokio::time::Instant;

use super::ends::Ends;
use super::error;
use super::logins::Logins;
use crate::engine::{EngineError, Result};

/// Where the engine listens when nothing else is said.
const SOCKET: &str = "/var/run/docker.sock";

/// Seconds until the headers of an answer must be there. Streams are not bound by it.
const TIMEOUT: u64 = 120;

/// The oldest API that offers what is needed here.
const FLOOR: (usize, usize) = (1, 41);

/// A Docker engine. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Docker {
    shared: Arc<Shared>,
}

struct Shared {
    address: Address,
    logins: Mutex<Logins>,
    /// When this process pulled which image last.
    pulls: Mutex<HashMap<String, Instant>>,
    /// The client with its negotiated version; forgotten when the engine goes away, because
    /// another version may come back.
    client: Mutex<Option<bollard::Docker>>,
    /// Ends that the engine tells by itself, where they are wanted.
    ends: Option<Ends>,
    /// Containers that were created here with all their networks, and were not started yet.
    complete: Mutex<HashSet<String>>,
}

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Socket(PathBuf),
    Tcp(String),
}

impl Docker {
    /// An engine at `unix:///path`, `/path` or `tcp://host:port`; `None` for the usual socket.
    /// Nothing is sent yet: an engine that is down now may be up at the first call.
    ///
    /// # Errors
    /// When the address is of no kind that is understood.
    pub fn connect(host: Option<&str>) -> Result<Self> {
        Self::to(host, None)
    }

    /// As [`Docker::connect`], for whoever runs many containers: the engine is asked once to tell of
    /// all ends, so that nobody asks for each of them.
    ///
    /// # Errors
    /// When the address is of no kind that is understood.
    pub fn connect_and_listen(host: Option<&str>) -> Result<Self> {
        Self::to(host, Some(Ends::default()))
    }

    fn to(host: Option<&str>, ends: Option<Ends>) -> Result<Self> {
        let shared = Shared {
            address: Address::parse(host.unwrap_or_default())?,
            logins: Mutex::default(),
            pulls: Mutex::default(),
            client: Mutex::default(),
            ends,
            complete: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(super) fn ends(&self) -> Option<&Ends> {
        self.shared.ends.as_ref()
    }

    /// Containers that were created here with all their networks, and were not started yet.
    pub(super) fn complete(&self) -> MutexGuard<'_, HashSet<String>> {
        self.shared.complete.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same engine, pulling with the registry logins of this folder or `config.json`.
    #[must_use]
    pub fn with_logins(self, path: impl Into<PathBuf>) -> Self {
        self.hold_logins(Logins::In(path.into()));
        self
    }

    pub(super) fn hold_logins(&self, logins: Logins) {
        *self.held() = logins;
    }

    pub(super) fn logins(&self) -> Logins {
        self.held().clone()
    }

    fn held(&self) -> MutexGuard<'_, Logins> {
        self.shared.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When this process pulled an image last.
    pub(super) fn pulled(&self, image: &str) -> Option<Instant> {
        self.shared.pulls.lock().unwrap_or_else(PoisonError::into_inner).get(image).copied()
    }

    /// Notes that an image was pulled just now.
    pub(super) fn note_pull(&self, image: &str) {
        let mut pulls = self.shared.pulls.lock().unwrap_or_else(PoisonError::into_inner);
        pulls.insert(image.to_owned(), Instant::now());
    }

    /// The client, connected and at a version that both sides speak.
    pub(super) async fn client(&self) -> Result<bollard::Docker> {
        if let Some(client) = self.lock().clone() {
            return Ok(client);
        }
        let client = match &self.shared.address {
            Address::Socket(path) => {
                bollard::Docker::connect_with_unix(&path.to_string_lossy(), TIMEOUT, API_DEFAULT_VERSION)
            }
            Address::Tcp(address) => bollard::Docker::connect_with_http(address, TIMEOUT, API_DEFAULT_VERSION),
        };
        let client = client.map_err(|e| self.wrong(e))?.negotiate_version().await.map_err(|e| self.wrong(e))?;
        let version = client.client_version();
        if (version.major_version, version.minor_version) < FLOOR {
            return Err(EngineError::Other(format!(
                "the engine at {} speaks API {}.{}; at least {}.{} is needed (engine 20.10 or newer)",
                self.shared.address, version.major_version, version.minor_version, FLOOR.0, FLOOR.1
            )));
        }
        *self.lock() = Some(client.clone());
        Ok(client)
    }

    /// What an error of the client library means.
    pub(super) fn wrong(&self, error: bollard::errors::Error) -> EngineError {
        let error = error::understood(&self.shared.address, error);
        if matches!(error, EngineError::Unavailable(_)) {
            *self.lock() = None;
        }
        error
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<bollard::Docker>> {
        self.shared.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Docker({})", self.shared.address)
    }
}

impl Address {
    fn parse(host: &str) -> Result<Self> {
        if host.is_empty() {
            return Ok(Self::Socket(SOCKET.into()));
        }
        if let Some(path) = host.strip_prefix("unix://").filter(|p| p.starts_with('/')) {
            return Ok(Self::Socket(path.into()));
        }
        if host.starts_with('/') {
            return Ok(Self::Socket(host.into()));
        }
        match host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://")) {
            Some(rest) if !rest.is_empty() => Ok(Self::Tcp(host.trim_end_matches('/').to_owned())),
            _ => Err(EngineError::Other(format!(
                "engine address {host:?} is not understood: give unix:///path or tcp://host:port"
            ))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let socket = |p: &str| Some(Address::Socket(p.into()));
        let tcp = |a: &str| Some(Address::Tcp(a.to_owned()));
        for (host, expected) in [
            ("", socket("/var/run/docker.sock")),
            ("unix:///run/user/1000/docker.sock", socket("/run/user/1000/docker.sock")),
            ("/run/docker.sock", socket("/run/docker.sock")),
            ("tcp://10.0.0.1:2375", tcp("tcp://10.0.0.1:2375")),
            ("tcp://10.0.0.1:2375/", tcp("tcp://10.0.0.1:2375")),
            ("unix://relative", None),
            ("ssh://host", None),
            ("tcp://", None),
        ] {
            assert_eq!(Address::parse(host).ok(), expected, "{host}");
        }
    }

    #[test]
    fn a_refused_address_names_the_way_out() {
        let message = Docker::connect(Some("npipe://x")).unwrap_err().to_string();
        assert!(message.contains("npipe://x") && message.contains("unix:///path"), "{message}");
    }
}
