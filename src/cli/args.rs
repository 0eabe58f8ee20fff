//! Commands and their arguments.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A scheduler sidecar for docker-compose stacks.
///
/// Every job runs in its own throwaway container; deploys are transactions.
#[derive(Debug, Parser)]
#[command(name = "tender", version, propagate_version = false, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done or nothing to do; 1 it was tried and failed; 2 wrong usage; 3 blocked; \
    64 bad or missing configuration; 69 engine, remote or scheduler not reachable; 75 somebody else holds the lock. \
    `run --wait` ends with the job's own code, `rotate` with those of logrotate (3: its state is locked).")]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Cmd,
}

/// Which stack, and where Tender keeps its state. Empty means absent.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which stack")]
pub(super) struct Global {
    /// Folder of the stack's docker-compose.yml
    #[arg(long, global = true, env = "COMPOSE_DIR", value_name = "DIR", hide_env_values = true)]
    pub(super) compose_dir: Option<OsString>,
    /// The stack's env.local [default: env.local in the compose dir]
    #[arg(long, global = true, env = "BIRDHOUSE_LOCAL_ENV", value_name = "FILE", hide_env_values = true)]
    pub(super) env_local: Option<OsString>,
    /// Folder of the scheduler's state [default: /var/lib/tender]
    #[arg(long, global = true, env = "SCHEDULER_STATE_DIR", value_name = "DIR", hide_env_values = true)]
    pub(super) state_dir: Option<OsString>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Cmd {
    /// Run the scheduler
    Serve,
    /// Say everything that is wrong with the configuration
    Check(Form),
    /// Show the effective settings and where each comes from
    Config(Config),
    /// List the jobs
    Jobs(Form),
    /// Show when jobs, or any schedule, are due next
    Next(Next),
    /// Say in plain English what a schedule means, or what a job does
    Explain(Explain),
    /// Run a job now
    Run(Run),
    /// End a run: one that waits never begins, any other is stopped
    Stop(Stop),
    /// List runs, newest first
    Runs(Runs),
    /// Show the log of a job, or the output of one run
    Logs(Logs),
    /// Say how the scheduler is and what it does
    Status(Form),
    /// Ask the scheduler whether it is well (for health checks)
    Health(Form),
    /// Say what a deploy would do now, and do nothing
    Plan(Form),
    /// List deploys, newest first
    Deploys(Deploys),
    /// Rotate the logs now
    Rotate(Rotate),
    /// Have the scheduler read its configuration again
    Reload(Form),
    /// Print the version
    Version(Form),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The body of a built-in job, inside its container
    #[command(hide = true)]
    Job(Job),
    /// The configuration probe, inside its container
    #[command(hide = true)]
    Probe {
        /// What to read, as JSON; standard input where absent
        #[arg(env = "TENDER_PROBE", hide_env_values = true)]
        request: Option<String>,
        /// As a child of Tender's: the request is a line, and no process is left over
        #[arg(long)]
        alone: bool,
    },
    /// Work on one checkout as its owner, spoken to through the standard streams
    #[command(hide = true)]
    Git,
}

#[derive(Debug, Clone, Default, Args)]
pub(super) struct Form {
    /// A stable document for programs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Config {
    /// All variables, not only settings
    #[arg(long)]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Next {
    /// Only this job
    pub(super) job: Option<String>,
    /// Any schedule instead of the configured ones
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(super) schedule: Option<String>,
    /// Zone of --schedule, such as Europe/Berlin [default: SCHEDULER_TIMEZONE, else UTC]
    #[arg(long, value_name = "ZONE", requires = "schedule")]
    pub(super) timezone: Option<String>,
    /// Instants after this one [default: now]
    #[arg(long, value_name = "INSTANT")]
    pub(super) after: Option<String>,
    /// How many instants
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) count: u16,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A schedule such as "7 5 * * *", or the name of a job
    #[arg(required = true, value_name = "SCHEDULE|JOB")]
    pub(super) what: Vec<String>,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The job
    pub(super) job: String,
    /// Show its output and end with its exit code
    #[arg(long)]
    pub(super) wait: bool,
    /// Print the container that would be created, and do nothing
    #[arg(long, conflicts_with = "wait")]
    pub(super) dry_run: bool,
    /// Environment for this run only
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) env: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Stop {
    /// A run's id, or a job's name where it has one run
    #[arg(value_name = "RUN|JOB")]
    pub(super) what: String,
    /// Wait until it has ended
    #[arg(long)]
    pub(super) wait: bool,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Runs {
    /// Only runs of this job
    #[arg(long, value_name = "JOB")]
    pub(super) job: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(super) limit: usize,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Only the last lines of it
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) lines: Option<usize>,
    /// A job's name, or a run's id
    #[arg(value_name = "JOB|RUN")]
    pub(super) what: String,
}

#[derive(Debug, Args)]
pub(super) struct Deploys {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(super) limit: usize,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// Folder of the logs [default: the stack's]
    #[arg(long, value_name = "DIR")]
    pub(super) log_dir: Option<PathBuf>,
    /// Where the last rotations are remembered [default: that of the job `logrotate`]
    #[arg(short, long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// A file with rules; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(super) config: Vec<PathBuf>,
    /// Rotate whatever the rules say
    #[arg(short, long)]
    pub(super) force: bool,
    /// Say what would be done, and do nothing
    #[arg(short, long, visible_alias = "debug")]
    pub(super) dry_run: bool,
    /// Say something about every log
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// A file that gets all that is said, too
    #[arg(short, long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,
    /// Wait for another rotation to end
    #[arg(long, conflicts_with = "skip_state_lock")]
    pub(super) wait_for_state_lock: bool,
    /// Do not ask whether another rotation is under way
    #[arg(long)]
    pub(super) skip_state_lock: bool,
}

#[derive(Debug, Args)]
pub(super) struct Job {
    /// The built-in
    pub(super) name: String,
    /// Its own arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) args: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn pairs_are_split_at_the_first_sign() {
        assert_eq!(pair("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(pair("A="), Ok(("A".into(), String::new())));
        assert!(pair("A").is_err() && pair("=b").is_err());
    }
}
