//! `tender plan`: what a deploy would do now.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::args::Form;
use super::context::Context;
use super::{exit, inside, load, out};
use crate::builtin::entry;
use crate::config::Loaded;
use crate::engine::{Channel, Host};
use crate::job::{Action, Builtin};
use crate::run::{CheckoutVerdict, RunId, Verdict};
use crate::secret::Environment;

/// How long planning may take: every remote is asked.
const PATIENCE: Duration = Duration::from_secs(900);

/// `tender plan`.
pub(super) async fn plan(context: &Context, args: &Form) -> anyhow::Result<u8> {
    let loaded = load::loaded(context).await?;
    let document = explain(context, &loaded).await?;
    let checkouts: Vec<CheckoutVerdict> = serde_json::from_value(document["checkouts"].clone())?;
    if args.json {
        context.out.json(&document)?;
    } else {
        print(context, &checkouts, &document)?;
    }
    Ok(code(&checkouts, &document))
}

/// The plan, in the shape of `plan --json`. A checkout is fetched and staged where a deploy would
/// do it: in the scheduler's container that is another container, which has the checkouts.
async fn explain(context: &Context, loaded: &Loaded) -> anyhow::Result<Value> {
    let Some((engine, installation)) = load::deployed(context).await else {
        return here(context).await;
    };
    let action = Action::Builtin(Builtin::Autodeploy);
    let mut container = load::container(&action, &Environment::default(), None, loaded, &installation);
    container.command = ["job", "plan"].map(str::to_owned).into();
    let name = format!("tender-plan-{}", RunId::random());
    let mut document = Vec::new();
    let code = engine
        .attach_once(&name, &container, PATIENCE, &mut |channel, bytes| match channel {
            Channel::Out => document.extend_from_slice(bytes),
            Channel::Err => out::remark(String::from_utf8_lossy(bytes).trim_end()),
        })
        .await
        .context("failed to run the container that plans")?;
    ensure!(code == i64::from(exit::DONE), "planning ended with exit code {code}");
    serde_json::from_slice(&document).context("the plan cannot be understood")
}

/// `tender job plan`: the body of that other container; and the plan made by this process.
pub(super) async fn body(context: &Context) -> anyhow::Result<u8> {
    context.out.json(&here(context).await?)?;
    Ok(exit::DONE)
}

async fn here(context: &Context) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(entry::plan(inside::this(context).await?).await?)?)
}

fn print(context: &Context, checkouts: &[CheckoutVerdict], document: &Value) -> anyhow::Result<()> {
    let out = context.out;
    let short = |commit: &Option<String>| commit.as_deref().map_or("-", |c| c.get(..8).unwrap_or(c)).to_owned();
    out.table(
        ["checkout", "follows", "from", "to", "verdict", "reason"],
        checkouts.iter().map(|c| {
            let path = c.path.display().to_string();
            let verdict = c.verdict.word().to_owned();
            [path, c.follow.clone(), short(&c.from), short(&c.to), verdict, c.reason.clone().unwrap_or_default()]
        }),
    )?;
    out.line("")?;
    match document["services"].as_array() {
        None => out.line("What happens to the services cannot be said without an engine.")?,
        Some(services) if services.is_empty() => out.line("No service would be touched.")?,
        Some(services) => {
            let word = |service: &Value, key: &str| service[key].as_str().unwrap_or_default().to_owned();
            out.table(
                ["service", "action", "why"],
                services.iter().map(|s| ["name", "action", "why"].map(|k| word(s, k))),
            )?;
        }
    }
    for path in document["rendered"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        out.line(format!("rendered anew: {path}"))?;
    }
    for blocked in document["blocked"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        out.line(out.bad(&format!("blocked: {blocked}")))?;
    }
    Ok(())
}

/// Blocked is 3; where nothing but an unreachable remote blocks, 69.
fn code(checkouts: &[CheckoutVerdict], document: &Value) -> u8 {
    let blocking: Vec<Verdict> = checkouts.iter().map(|c| c.verdict).filter(|v| v.blocks()).collect();
    let blocked = document["blocked"].as_array().map_or(0, Vec::len);
    if !blocking.is_empty() && blocked <= blocking.len() && blocking.iter().all(|v| *v == Verdict::Unknown) {
        exit::UNAVAILABLE
    } else if blocked > 0 || !blocking.is_empty() {
        exit::BLOCKED
    } else {
        exit::DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checkout(verdict: Verdict) -> CheckoutVerdict {
        CheckoutVerdict {
            path: "/stack".into(),
            follow: "branch main".into(),
            from: None,
            to: None,
            verdict,
            reason: None,
        }
    }

    #[test]
    fn the_code_says_what_holds_it_back() {
        use Verdict::{Behind, Dirty, Unknown, UpToDate};
        for (verdicts, blocked, want) in [
            (vec![UpToDate, Behind], vec![], exit::DONE),
            (vec![Behind], vec!["this vector was rolled back before"], exit::BLOCKED),
            (vec![Dirty, Unknown], vec!["dirty", "unknown"], exit::BLOCKED),
            (vec![Unknown, UpToDate], vec!["unknown"], exit::UNAVAILABLE),
        ] {
            let checkouts: Vec<_> = verdicts.iter().copied().map(checkout).collect();
            assert_eq!(code(&checkouts, &json!({"blocked": blocked})), want, "{verdicts:?}");
        }
    }
}
