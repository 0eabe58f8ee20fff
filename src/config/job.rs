//! One job from its definition.

use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::fields::Fields;
use super::job_action::{self, Written};
use super::job_file::{Definition, JobText};
use super::resolve::Context;
use super::wrong::{Wrong, meant};
use super::yaml::Node;
use super::{LegacyJobs, Problem, job_alerts, job_extra, job_follow_ups, job_policy, job_stop, keys};
use crate::job::{Action, Builtin, Job, JobName};
use crate::schedule::{Kind, Schedule};

/// A job with what its place in the list depends on.
pub struct Built {
    /// The job.
    pub job: Job,
    /// It may replace an earlier definition of its name.
    pub replaces: bool,
    /// A problem with its name; what it is has still to be said.
    pub clash: Problem,
    /// Its name was made up: another job of that name is a coincidence.
    pub unnamed: bool,
}

/// Makes a job of a definition, or says why not.
pub fn build(
    text: &JobText,
    definition: &Definition<'_>,
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Built> {
    let lookup = |name: &str| context.variable(name);
    let node = definition.node;
    let mut fields = Fields::new(text, node, &lookup);
    let name = name(&mut fields, definition);
    if let Some(name) = &name {
        fields.name(name.as_str());
    }
    let takes_over = context.settings.legacy_jobs == LegacyJobs::TakeOver;
    let taken_over = name.as_ref().filter(|_| takes_over).and_then(|name| taken_over(name, node));
    let written = match taken_over {
        Some(builtin) => {
            let place = fields.key_place("command");
            fields.warning(
                "command",
                place,
                "the built-in of this name takes the place of the legacy script and keeps this schedule",
            );
            job_action::pass_over(&mut fields);
            fields.take("trigger");
            Some(Written { action: Action::Builtin(builtin), legacy_form: false })
        }
        None => job_action::read(&mut fields, context),
    };
    let zone = zone(&mut fields, context.settings.timezone);
    let watch = job_alerts::watch(&mut fields, context);
    fields.take("schedule");
    let schedule = name.as_ref().and_then(|name| schedule(&mut fields, zone, name));
    let mut policy = job_policy::read(&mut fields, context, written.as_ref(), schedule.as_ref().map(|s| &s.0));
    let comment = fields.raw("comment").map(|c| c.0);
    let switched_on = fields.truth("enabled").unwrap_or(true);
    let run_on_start = fields.truth("onstart").unwrap_or(false);
    let replaces = fields.truth("override").unwrap_or(false);
    let log_file = log_file(&mut fields);
    let follow_ups = job_follow_ups::read(&mut fields, context);
    let stop = job_stop::read(&mut fields, context, &mut policy);
    let ping = job_alerts::ping(&mut fields);
    let notify = job_alerts::notify(&mut fields);
    let known: Vec<&'static str> = [keys::JOB, keys::ACTION].into_iter().flat_map(keys::names).collect();
    let good = fields.finish(&known);
    problems.append(&mut fields.problems);
    let clash = text.placed(Problem::error("", ""), fields.place());
    let line = clash.origin.place.map(|place| place.line).filter(|_| !text.variable);
    let (name, written, (schedule, due)) = (name?, written?, schedule?);
    if !good {
        return None;
    }
    let extra = match written.action {
        Action::Builtin(builtin) => {
            let flags = node.get("dockerargs").and_then(Node::text).filter(|_| taken_over.is_some());
            job_extra::of(builtin, flags, context, problems)
        }
        _ => None,
    };
    let job = Job {
        comment,
        enabled: switched_on && due,
        origin: line.map_or_else(|| text.origin.clone(), |line| format!("{}:{line}", text.origin)),
        run_on_start,
        extra,
        follow_ups,
        watch,
        stop,
        ping,
        notify,
        log_file: log_file.unwrap_or_else(|| name.log_file()),
        ..Job::new(name, schedule, written.action, policy)
    };
    let unnamed = definition.name.is_none() && node.get("name").and_then(Node::text).is_none();
    Some(Built { job, replaces, unnamed, clash })
}

/// The built-in job of this kind as it is without any definition.
pub fn implicit(builtin: Builtin, context: &Context<'_>, problems: &mut Vec<Problem>) -> Option<Job> {
    let text = match builtin {
        Builtin::Autodeploy => context.settings.platform_frequency.as_str(),
        Builtin::Logrotate => "@daily",
    };
    let (text, enabled) = switched(text);
    let name = JobName::new(builtin.name()).ok()?;
    let schedule = match Schedule::parse(text, context.settings.timezone, name.as_str()) {
        Ok(schedule) => schedule,
        Err(error) => {
            problems.push(Problem::error(builtin.name(), error.to_string()));
            return None;
        }
    };
    let mut policy = job_policy::of_builtin(builtin, context);
    policy.missed = job_policy::missed_default(&schedule);
    let extra = job_extra::of(builtin, None, context, problems);
    Some(Job { enabled, extra, ..Job::new(name, schedule, Action::Builtin(builtin), policy) })
}

fn name(fields: &mut Fields<'_>, definition: &Definition<'_>) -> Option<JobName> {
    let place = fields.place();
    let written = fields.text("name");
    let text = match (definition.name, written) {
        (_, Some((name, _))) => name,
        (Some(key), None) => key.to_owned(),
        (None, None) => {
            // From what it does, so that it stays the same from load to load.
            let said = ["image", "container", "command"]
                .map(|k| definition.node.get(k).and_then(Node::text).unwrap_or_default().to_owned());
            let digest = Sha256::digest(said.join("\0").as_bytes());
            let name = format!("unnamed-{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
            let how =
                format!("is missing; until it has one it is called {name}, with a number where several do the same");
            fields.warning("name", place, how);
            name
        }
    };
    match JobName::new(&text) {
        Ok(name) => Some(name),
        Err(error) => {
            fields.bad("name", place, &text, error.to_string(), None);
            None
        }
    }
}

/// The built-in that takes the place of a legacy script under the name of a built-in. Where this
/// version has no built-in of that name, the job runs as it is written.
fn taken_over(name: &JobName, node: &Node) -> Option<Builtin> {
    let builtin = Builtin::from_name(name.as_str())?;
    let script = match builtin {
        Builtin::Autodeploy => "triggerdeploy.sh",
        Builtin::Logrotate => "logrotate",
    };
    let command = node.get("command")?;
    command.items().iter().filter_map(Node::text).any(|text| text.contains(script)).then_some(builtin)
}

/// The schedule without the `#` that legacy files switch a job off with.
fn switched(text: &str) -> (&str, bool) {
    match text.trim().strip_prefix('#') {
        Some(rest) if rest.trim().is_empty() => ("@manual", false),
        Some(rest) => (rest.trim(), false),
        None => (text.trim(), true),
    }
}

fn schedule(fields: &mut Fields<'_>, zone: Tz, name: &JobName) -> Option<(Schedule, bool)> {
    let place = fields.place();
    let written = match fields.text("schedule") {
        // It is due when files change.
        None if fields.has("watch") => Some(("@manual".to_owned(), place)),
        None if fields.has("schedule") => None,
        None => {
            let hint = Some("`schedule: \"@manual\"` runs it on request only".to_owned());
            fields.error("schedule", place, Wrong { hint, ..Wrong::from("is missing") });
            None
        }
        written => written,
    };
    let (written, place) = written?;
    let (text, enabled) = switched(&written);
    match Schedule::parse(text, zone, name.as_str()) {
        Ok(schedule) => {
            if !enabled {
                fields.warning("schedule", place, "begins with # and is switched off; `enabled: false` says so");
            } else if schedule.kind() == Kind::Cron && schedule.next_after(job_policy::reference()).is_none() {
                fields.warning("schedule", place, "is never due");
            }
            Some((schedule, enabled))
        }
        // A pattern that is switched off need not be one.
        Err(_) if !enabled => Some((Schedule::parse("@manual", zone, name.as_str()).ok()?, false)),
        Err(error) => {
            fields.bad("schedule", place, &written, error, None);
            None
        }
    }
}

fn zone(fields: &mut Fields<'_>, default: Tz) -> Tz {
    let Some((text, place)) = fields.text("timezone") else { return default };
    match timezone(&text) {
        Ok(zone) => zone,
        Err(wrong) => {
            fields.bad("timezone", place, &text, wrong, None);
            default
        }
    }
}

/// A zone by its name.
///
/// # Errors
/// Says which may be meant.
pub fn timezone(text: &str) -> Result<Tz, Wrong> {
    text.parse().map_err(|_| Wrong {
        message: "is no time zone".to_owned(),
        expected: Some("a name such as UTC or America/Montreal".to_owned()),
        hint: meant(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())),
    })
}

/// A file name below the log dir.
fn log_file(fields: &mut Fields<'_>) -> Option<String> {
    fields.parsed("log", |text| {
        let plain = !text.is_empty() && !text.starts_with('.') && !text.contains(['/', '\0', '\n']);
        if plain { Ok(text.to_owned()) } else { Err("expected a file name, without a folder") }
    })
}
