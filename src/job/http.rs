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
    /// Longest time for the whole exchange; the job's own `timeout` is that of the run.
    pub timeout: Option<Duration>,
    /// Networks of its container; empty means the default bridge.
    #[serde(default)]
    pub networks: Vec<String>,
}

impl Http {
    /// Whether a code is a success.
    pub fn expects(&self, code: u16) -> bool {
        self.status.iter().any(|(low, high)| (*low..=*high).contains(&code))
    }

    /// The codes that are a success, in words.
    pub fn expected(&self) -> String {
        let range = |(low, high): &(u16, u16)| if low == high { low.to_string() } else { format!("{low}-{high}") };
        self.status.iter().map(range).collect::<Vec<_>>().join(", ")
    }
}
