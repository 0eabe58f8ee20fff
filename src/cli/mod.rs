//! The command line: arguments, one file per group of commands, and the only room that prints.
//!
//! A command is a function from its arguments and the context to an exit code; what goes
//! wrong travels as an error, whose code is decided where it was made.

mod args;
mod check;
mod context;
mod control;
mod deploys;
mod describe;
mod diagnostic;
mod document;
mod dry_run;
mod effective;
pub mod exit;
mod explain;
mod failure;
mod history;
mod inside;
mod instant;
mod jobs;
mod load;
mod logs;
mod next;
mod out;
mod output;
mod plan;
mod rotate;
mod run;
mod runs;
mod serve;
mod status;
mod stop;
mod tail;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Cmd};
use context::Context;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print(); // nobody may be there to read it
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    // The one place that reads the environment: from here on it is a value.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let context = Context::new(cli.global, environment);
    ExitCode::from(perform(cli.command, &context).unwrap_or_else(|error| {
        if !error.chain().any(|cause| cause.is::<failure::ReaderGone>()) {
            out::remark(format!("tender: {error:#}"));
        }
        failure::code_of(&error)
    }))
}

fn perform(command: Cmd, context: &Context) -> anyhow::Result<u8> {
    match command {
        Cmd::Serve => serve::serve(context),
        Cmd::Check(args) => context.block_on(check::check(context, &args)),
        Cmd::Config(args) => context.block_on(effective::config(context, &args)),
        Cmd::Jobs(args) => context.block_on(jobs::jobs(context, &args)),
        Cmd::Next(args) => context.block_on(next::next(context, &args)),
        Cmd::Explain(args) => context.block_on(explain::explain(context, &args)),
        Cmd::Run(args) => context.block_on(run::run(context, &args)),
        Cmd::Stop(args) => context.block_on(stop::stop(context, &args)),
        Cmd::Runs(args) => context.block_on(runs::runs(context, &args)),
        Cmd::Logs(args) => context.block_on(logs::logs(context, &args)),
        Cmd::Status(args) => context.block_on(status::status(context, &args)),
        Cmd::Health(args) => context.block_on(status::health(context, &args)),
        Cmd::Plan(args) => context.block_on(plan::plan(context, &args)),
        Cmd::Deploys(args) => context.block_on(deploys::deploys(context, &args)),
        Cmd::Rotate(args) => context.block_on(rotate::rotate(context, &args)),
        Cmd::Reload(args) => context.block_on(control::reload(context, &args)),
        Cmd::Version(args) => version(context, &args),
        Cmd::Completions { shell } => completions(context, shell),
        Cmd::Job(args) => inside::job(context, &args),
        Cmd::Probe { request, alone } => inside::probe(context, request, alone),
        Cmd::Git => inside::git(),
    }
}

fn version(context: &Context, args: &args::Form) -> anyhow::Result<u8> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        context.out.json(&serde_json::json!({"name": "tender", "version": version}))?;
    } else {
        context.out.line(format!("tender {version}"))?;
    }
    Ok(exit::DONE)
}

fn completions(context: &Context, shell: clap_complete::Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tender", &mut script);
    context.out.bytes(&script)?;
    Ok(exit::DONE)
}
