//! Places where a test ends the process as a power cut would: the crash matrices.
//!
//! Compiled with the feature `failpoints` only; a release holds nothing of it. A place is a
//! `fail::fail_point!("run.created")` in the code, and `TENDER_CRASH_AT=run.created:3` in the
//! environment sends this process a SIGKILL the third time that it gets there.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Signal, getpid, kill_process};

/// Names the place, and after a colon the how manyeth time.
pub const VARIABLE: &str = "TENDER_CRASH_AT";

/// Arms the place that the environment names, if any.
///
/// # Errors
/// When the number is none, or the place cannot be armed.
pub fn arm() -> Result<()> {
    let Ok(asked) = std::env::var(VARIABLE) else { return Ok(()) };
    let (place, time) = match asked.split_once(':') {
        Some((place, time)) => {
            (place, time.parse().with_context(|| format!("{VARIABLE}={asked}: {time} is no number"))?)
        }
        None => (asked.as_str(), 1),
    };
    let left = AtomicU32::new(time);
    fail::cfg_callback(place, move || {
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Nothing after this line happens.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    })
    .map_err(|why| anyhow!("{VARIABLE}={asked}: {why}"))
}
