//! A request as a job.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A request that a container of Tender's own image makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Http {
    /// `http://` or `https://`.
    pub url: String,
    /// Such as `POST`, in capitals.
    pub method: String,
    /// Header lines by their name.
    pub headers: crate::secret::Environment,
    /// What is sent.
    pub body: Option<String>,
    /// Codes that are a success, as ranges that include both ends.
    pub status: Vec<(u16, u16)>,
    /// Longest time for one request; the job's own `timeout` is that of the whole run.
    pub timeout: Option<Duration>,
}
