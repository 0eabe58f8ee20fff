//! Waiting for the lease. Without it a scheduler only reads.

use std::time::Duration;

use anyhow::Result;

use super::options::ServeOptions;
use super::watchdog::Watchdog;
use crate::store::Lease;

/// A kernel lock passes on within milliseconds of its holder's end; asked this often.
const ASK: Duration = Duration::from_millis(250);

/// Waits until the lease is free and the journal of hand-overs admits this generation.
///
/// # Errors
/// When the state dir or the compose dir cannot be locked at all.
pub async fn wait_for_lease(options: &ServeOptions, watchdog: &Watchdog) -> Result<Lease> {
    let mut said = false;
    loop {
        watchdog.turn();
        if let Some(lease) = Lease::try_take(&options.state_dir, Some(&options.compose_dir))? {
            return Ok(lease);
        }
        if !said {
            tracing::warn!("another scheduler holds the lease of this stack; waiting as a standby");
            said = true;
        }
        tokio::time::sleep(ASK).await;
    }
}
