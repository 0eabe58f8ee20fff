//! Requests to servers: one exchange, with its redirects, through the proxies and with the
//! authorities of the settings.

mod client;
mod exchange;
mod redirect;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use exchange::{exchange, seconds};

use crate::job::Http;
use crate::secret::Environment;

/// Limit of an exchange that names none.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A request, and how the server is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The request.
    pub request: Http,
    /// The proxies, by the names of their variables.
    #[serde(default)]
    pub proxies: Environment,
    /// Authorities (PEM) beside those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// What happens during an exchange, as it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// An answer has begun. Addresses are without secrets.
    Answer {
        /// Method of the request.
        method: &'a str,
        /// Whom was asked.
        url: &'a str,
        /// Code and its words, such as `404 Not Found`.
        status: &'a str,
        /// Where it leads on to.
        redirect: Option<&'a str>,
        /// Time until it began.
        took: Duration,
    },
    /// A piece of the body of the last answer.
    Body(&'a [u8]),
}

/// The last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its code.
    pub status: u16,
    /// Length of its body.
    pub bytes: u64,
}

/// Why there is no answer, as far as a caller decides by it. The texts are without secrets.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody can be asked this: a bad address or header, a file that cannot be read.
    #[error("{0}")]
    Request(String),
    /// Nobody answered, the answer broke off, or the time was over.
    #[error("{0}")]
    Unreachable(String),
    /// The answer leads nowhere.
    #[error("{0}")]
    Redirect(String),
}
