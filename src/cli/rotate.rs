//! `tender rotate`: works on files alone, with the exit codes of logrotate.

use std::path::PathBuf;

use chrono::Utc;

use super::args::Rotate;
use super::context::Context;
use super::{load, out};
use crate::builtin::rotate::{Args, Lock, cli_main};

/// `tender rotate`: the folder of the logs is the stack's, where none is named.
pub(super) async fn rotate(context: &Context, args: &Rotate) -> anyhow::Result<u8> {
    let (log_dir, zone) = match &args.log_dir {
        Some(dir) => (dir.clone(), context.default_zone()?),
        None => {
            let settings = load::loaded(context).await?.settings;
            (settings.log_dir, settings.timezone)
        }
    };
    let args = Args {
        configs: args.config.clone(),
        state: args.state.clone().unwrap_or_else(|| state(context)),
        log_dir,
        force: args.force,
        dry_run: args.dry_run,
        verbose: args.verbose,
        log: args.log.clone(),
        lock: match (args.wait_for_state_lock, args.skip_state_lock) {
            (true, _) => Lock::Wait,
            (_, true) => Lock::Skip,
            _ => Lock::Fail,
        },
    };
    // As with logrotate, everything that it says is remarks.
    Ok(cli_main(&args, Utc::now(), zone, &mut |line| out::remark(line)))
}

/// The state file of the job `logrotate`: by hand and by schedule are one history.
fn state(context: &Context) -> PathBuf {
    context.state_dir().join("logrotate/state")
}
