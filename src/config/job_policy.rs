//! The rules of a job from its definition.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::fields::{Fields, unexpected};
use super::job_action::Written;
use super::resolve::Context;
use super::values;
use super::wrong::{Wrong, choice, meant};
use super::yaml::{Node, Value};
use crate::job::{Action, Builtin, Missed, OnInterrupt, Overlap, Policy, Retries};
use crate::schedule::Schedule;

/// Reads the rules of a job; what is not said follows from its action and schedule.
pub fn read(
    fields: &mut Fields<'_>,
    context: &Context<'_>,
    written: Option<&Written>,
    schedule: Option<&Schedule>,
) -> Policy {
    let mut policy = match written.map(|w| &w.action) {
        Some(Action::Builtin(builtin)) => of_builtin(*builtin, context),
        _ => Policy { grace: context.settings.grace, ..Policy::default() },
    };
    if written.is_some_and(|w| w.legacy_form) {
        policy.timeout = None;
    }
    if let Some((text, place)) = fields.text("timeout") {
        match text.as_str() {
            "none" => policy.timeout = None,
            _ => match values::duration(&text) {
                Ok(time) => policy.timeout = Some(time).filter(|t| !t.is_zero()),
                Err(message) => fields.bad("timeout", place, &text, message, Some("`none` is no limit".to_owned())),
            },
        }
    }
    let overlaps = [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("allow", Overlap::Allow)];
    policy.overlap = fields.parsed("overlap", |text| choice(text, &overlaps)).unwrap_or(policy.overlap);
    policy.locks.extend(fields.list("locks").into_iter().map(|l| l.0));
    policy.locks.sort();
    policy.locks.dedup();
    policy.grace = fields.duration("grace").unwrap_or(policy.grace);
    policy.deadline = fields.duration("deadline").unwrap_or(policy.deadline);
    policy.jitter = fields.duration("jitter").unwrap_or(policy.jitter);
    let interrupts = [("fail", OnInterrupt::Fail), ("retry", OnInterrupt::Retry)];
    policy.on_interrupt =
        fields.parsed("on_interrupt", |text| choice(text, &interrupts)).unwrap_or(policy.on_interrupt);
    policy.missed = missed(fields).or_else(|| schedule.map(missed_default)).unwrap_or(policy.missed);
    policy.retries = retries(fields).unwrap_or(policy.retries);
    policy
}

/// The rules of a built-in.
pub fn of_builtin(builtin: Builtin, context: &Context<'_>) -> Policy {
    let needs = builtin.needs();
    Policy {
        locks: needs.locks.iter().map(|l| (*l).to_owned()).collect(),
        timeout: Some(needs.timeout),
        grace: context.settings.grace,
        jitter: if builtin == Builtin::Autodeploy { context.settings.poll_jitter } else { Duration::ZERO },
        on_interrupt: OnInterrupt::Retry,
        ..Policy::default()
    }
}

/// `skip`, `once`, `all(n)`, or `{all: n}`.
fn missed(fields: &mut Fields<'_>) -> Option<Missed> {
    let node = fields.take("missed")?;
    let count = |text: &str| text.trim().parse().ok().filter(|n| *n > 0).map(Missed::All);
    let found = match (node.text(), node.get("all").and_then(Node::text)) {
        (Some("skip"), _) => Some(Missed::Skip),
        (Some("once"), _) => Some(Missed::Once),
        (Some(text), _) => text.strip_prefix("all(").and_then(|t| t.strip_suffix(')')).and_then(count),
        (None, Some(text)) => count(text),
        _ => None,
    };
    if found.is_none() {
        let text = node.text().unwrap_or_default();
        let hint = meant(text, ["skip", "once", "all"]);
        let wrong = Wrong { hint, ..Wrong::from("expected skip, once or all(n)") };
        fields.bad("missed", node.mark(), text, wrong, None);
    }
    found
}

/// A number of further attempts, or a mapping.
fn retries(fields: &mut Fields<'_>) -> Option<Retries> {
    let node = fields.take("retries")?;
    let count = |text: &str| text.trim().parse().map_err(|_| "expected a number of attempts".to_owned());
    match &node.value {
        Value::Map(_) => fields.nested("retries", node, |inner| {
            let usual = Retries::default();
            let on: Vec<Option<i64>> = inner
                .list("on")
                .into_iter()
                .map(|(text, place)| {
                    let code = text.trim().parse().ok().filter(|code| (1..=255).contains(code));
                    if code.is_none() {
                        inner.bad("on", place, &text, "expected exit codes from 1 to 255", None);
                    }
                    code
                })
                .collect();
            Some(Retries {
                // A mapping without a number means to try again.
                max: inner.parsed("max", count).unwrap_or(1),
                backoff: inner.duration("backoff").unwrap_or(usual.backoff),
                factor: inner.parsed("factor", factor).unwrap_or(usual.factor),
                max_backoff: inner.duration("max_backoff").unwrap_or(usual.max_backoff),
                on: on.into_iter().flatten().collect(),
            })
        }),
        Value::Text(_) => Some(Retries { max: fields.parsed("retries", count)?, ..Retries::default() }),
        _ => {
            fields.error("retries", node.mark(), unexpected("a number or a mapping", node));
            None
        }
    }
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.trim().parse().ok().filter(|factor| (1.0..=100.0).contains(factor));
    factor.ok_or_else(|| "expected a factor from 1 to 100".to_owned())
}

/// Some instant at which to ask a schedule for its rhythm, the same at every load.
pub fn reference() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(19_723)
}

/// What is due less often than hourly is caught up once, everything else not at all. The rhythm is
/// that of four weeks: a nightly job may have two times that are close together.
pub fn missed_default(schedule: &Schedule) -> Missed {
    let Some(first) = schedule.next_after(reference()) else { return Missed::Once };
    let before = first - TimeDelta::seconds(1);
    if schedule.count_between(before, before + TimeDelta::weeks(4)) >= 4 * 7 * 24 { Missed::Skip } else { Missed::Once }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_less_often_than_hourly_is_caught_up() {
        for (text, missed) in [
            ("* * * * *", Missed::Skip),
            ("@hourly", Missed::Skip),
            ("@every 1h", Missed::Skip),
            ("*/5 9-17 * * MON-FRI", Missed::Skip),
            ("*/10 * * 6 *", Missed::Skip),
            ("@every 61m", Missed::Once),
            ("0 */2 * * *", Missed::Once),
            ("@daily", Missed::Once),
            ("0 0 29 2 *", Missed::Once),
            // Less often than hourly, though these have times that are no more than an hour apart.
            ("30 1,2 * * *", Missed::Once),
            ("0,5 3 * * *", Missed::Once),
            ("0 9-17 * * *", Missed::Once),
            // Due by other means.
            ("@manual", Missed::Once),
            ("@reboot", Missed::Once),
            ("0 0 30 2 *", Missed::Once),
        ] {
            assert_eq!(missed_default(&Schedule::parse(text, chrono_tz::UTC, "job").unwrap()), missed, "{text}");
        }
    }
}
