//! The actions after the main one.

use super::fields::Fields;
use super::job_file::JobText;
use super::resolve::Context;
use super::yaml::Value;
use super::{job_action, keys};
use crate::job::{Action, FollowUps};

/// Reads `trigger`, `on_success`, `on_failure` and `always`.
pub fn read(fields: &mut Fields<'_>, text: &JobText, context: &Context<'_>) -> FollowUps {
    let mut on_success = list(fields, "trigger", text, context);
    on_success.extend(list(fields, "on_success", text, context));
    FollowUps {
        on_success,
        on_failure: list(fields, "on_failure", text, context),
        always: list(fields, "always", text, context),
    }
}

fn list(fields: &mut Fields<'_>, key: &'static str, text: &JobText, context: &Context<'_>) -> Vec<Action> {
    let Some(list) = fields.take(key) else { return Vec::new() };
    let mut actions = Vec::new();
    let most = usize::try_from(FollowUps::MOST).unwrap_or(usize::MAX);
    if list.items().len() > most {
        fields.error(key, list.place, format!("may hold at most {most} actions"));
        return actions;
    }
    for (i, node) in list.items().iter().enumerate() {
        if !matches!(node.value, Value::Map(_)) {
            fields.error(key, node.place, format!("expected an action, found {}", node.kind()));
            continue;
        }
        if key == "trigger" && node.get("command").is_none() {
            fields.warning(key, node.place, "a trigger without a command does nothing");
            continue;
        }
        let called = format!("{}: {key} {}", fields.called(), i + 1);
        let mut inner = Fields::new(&text.origin, called, node, text.legacy, fields.lookup());
        for text in ["name", "comment"] {
            inner.raw(text);
        }
        let written = job_action::read(&mut inner, context);
        inner.finish(&keys::names(keys::ACTION));
        fields.problems.append(&mut inner.problems);
        actions.extend(written.map(|w| w.action));
    }
    actions
}
