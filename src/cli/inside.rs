//! Commands that only Tender's own containers and children run.

use std::io::{BufReader, Read, stdin, stdout};

use anyhow::Context as _;
use chrono::Utc;

use super::args::Job;
use super::context::Context;
use super::control::no_job;
use super::failure::Failure;
use super::{exit, load, plan};
use crate::builtin::entry::{self, Entry};
use crate::job::Builtin;
use crate::{builtin, config, git};

/// Bodies that are no job of their own: the holder of an exec, signals to processes of another
/// container, a request, a question to compose, the stage of a deploy, a plan.
const HOLDER: &str = "exec";
const SIGNAL: &str = "signal";
const REQUEST: &str = "http";
const CONFIGURATION: &str = "configuration";
const STAGE: &str = "stage";
const PLAN: &str = "plan";

/// Variable that holds the request of a configuration probe.
const PROBE: &str = "TENDER_PROBE";

/// `tender job <name>`: the body of a built-in.
pub(super) fn job(context: &Context, args: &Job) -> anyhow::Result<u8> {
    let env = &context.environment;
    match (Builtin::from_name(&args.name), args.name.as_str()) {
        (Some(Builtin::Autodeploy), _) => context.block_on(async { entry::autodeploy(this(context).await?).await }),
        (Some(Builtin::Logrotate), _) => context.block_on(async { Ok(rotate(context, &this(context).await?)) }),
        (None, HOLDER) => context.block_on(entry::hold(env)),
        (None, SIGNAL) => entry::signal(env),
        (None, REQUEST) => context.block_on(builtin::http::main(env)),
        (None, CONFIGURATION) => context.block_on(async {
            let resolved = builtin::configuration::resolved(&this(context).await?).await?;
            context.out.bytes(&serde_json::to_vec(&resolved)?)?;
            Ok(exit::DONE)
        }),
        (None, STAGE) => context.block_on(entry::stage(env)),
        (None, PLAN) => context.block_on(plan::body(context)),
        (None, name) => {
            let known = Builtin::ALL.iter().map(|builtin| builtin.name()).chain([
                HOLDER,
                SIGNAL,
                REQUEST,
                CONFIGURATION,
                STAGE,
                PLAN,
            ]);
            Err(Failure::usage(no_job(name, known)))
        }
    }
}

/// What a body works with: what the scheduler has put into its container, or, started by hand, the
/// configuration read here.
pub(super) async fn this(context: &Context) -> anyhow::Result<Entry> {
    match Entry::from_environment(&context.environment)? {
        Some(entry) => Ok(entry),
        None => {
            let mut settings = load::loaded(context).await?.settings;
            settings.state_dir = context.state_dir();
            Ok(Entry::by_hand(settings, &context.environment))
        }
    }
}

fn rotate(context: &Context, entry: &Entry) -> u8 {
    let mut say = |line: &str| {
        // A reader that went away is no reason to stop rotating.
        let _ = context.out.line(line);
    };
    builtin::rotate::job_main(&entry.settings, &entry.settings.state_dir, entry.result.as_deref(), Utc::now(), &mut say)
}

/// `tender probe`: reads a request, answers with what was found.
pub(super) fn probe(context: &Context, request: Option<String>, alone: bool) -> anyhow::Result<u8> {
    if alone {
        let answer = config::probe_alone(BufReader::new(stdin())).context("failed to read the request")?;
        context.out.bytes(&answer)?;
        return Ok(exit::DONE);
    }
    let request = match request.or_else(|| context.variable(PROBE).map(str::to_owned)) {
        Some(request) => request,
        None => {
            let mut text = String::new();
            stdin().lock().read_to_string(&mut text).context("failed to read the request")?;
            text
        }
    };
    context.out.bytes(&config::probe_main(&request))?;
    Ok(exit::DONE)
}

/// `tender git`: work on one checkout, as the user that this process runs as.
pub(super) fn git() -> anyhow::Result<u8> {
    git::child_main(stdin().lock(), stdout().lock());
    Ok(exit::DONE)
}
