//! Places where a test ends the process as a power cut would: the crash matrices.
//!
//! Compiled with the feature `failpoints` only; a release holds nothing of it. A place is a
//! `fail::fail_point!("run.created")` in the code, and `TENDER_CRASH_AT=run.created:3` in the
//! environment sends this process a SIGKILL the third time that it gets there. A process that is to
//! be well for a while is told later: by a file of that text, which `TENDER_CRASH_FILE` names, and
//! which is gone when the place is armed.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Signal, getpid, kill_process};

/// Names the place, and after a colon the how manyeth time.
pub const VARIABLE: &str = "TENDER_CRASH_AT";

/// Names a file that holds the same, and may be written at any time.
pub const FILE: &str = "TENDER_CRASH_FILE";

/// How often the file is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// Arms the place that the environment names, if any.
///
/// # Errors
/// When the number is none, or the place cannot be armed.
pub fn arm() -> Result<()> {
    if let Ok(path) = std::env::var(FILE) {
        std::thread::Builder::new().name("crash".to_owned()).spawn(move || listen(Path::new(&path)))?;
    }
    std::env::var(VARIABLE).map_or(Ok(()), |asked| at(asked.trim()))
}

/// Arms what is written to the file. It has to get there in one piece, as by a rename.
fn listen(path: &Path) {
    loop {
        if let Ok(asked) = std::fs::read_to_string(path) {
            if let Err(error) = at(asked.trim()) {
                tracing::error!("{error:#}");
            }
            let _ = std::fs::remove_file(path);
        }
        std::thread::sleep(LOOK);
    }
}

fn at(asked: &str) -> Result<()> {
    let (place, time) = match asked.split_once(':') {
        Some((place, time)) => (place, time.parse().with_context(|| format!("{asked}: {time} is no number"))?),
        None => (asked, 1),
    };
    let left = AtomicU32::new(time);
    fail::cfg_callback(place, move || {
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Nothing after this line happens.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    })
    .map_err(|why| anyhow!("the place {asked} cannot be armed: {why}"))
}
