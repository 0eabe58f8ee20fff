//! The actions after the main one.

use super::fields::{Fields, unexpected};
use super::resolve::Context;
use super::yaml::Value;
use super::{job_action, keys};
use crate::job::{Action, FollowUps};

/// Reads `trigger`, `on_success`, `on_failure` and `always`.
pub fn read(fields: &mut Fields<'_>, context: &Context<'_>) -> FollowUps {
    let mut on_success = list(fields, "trigger", context);
    on_success.extend(list(fields, "on_success", context));
    FollowUps { on_success, on_failure: list(fields, "on_failure", context), always: list(fields, "always", context) }
}

fn list(fields: &mut Fields<'_>, key: &'static str, context: &Context<'_>) -> Vec<Action> {
    let Some(list) = fields.take(key) else { return Vec::new() };
    let mut actions = Vec::new();
    let most = usize::try_from(FollowUps::MOST).unwrap_or(usize::MAX);
    if list.items().len() > most {
        fields.error(key, list.mark(), format!("may hold at most {most} actions"));
        return actions;
    }
    for (i, node) in list.items().iter().enumerate() {
        if !matches!(node.value, Value::Map(_)) {
            fields.error(key, node.mark(), unexpected("an action", node));
            continue;
        }
        if key == "trigger" && node.get("command").is_none() {
            fields.warning(key, node.mark(), "a trigger without a command does nothing");
            continue;
        }
        let mut inner = fields.below(&format!("{key}[{i}]"), node);
        for text in ["name", "comment"] {
            inner.raw(text);
        }
        let written = job_action::read(&mut inner, context);
        inner.finish(&keys::names(keys::ACTION));
        fields.absorb(&mut inner);
        actions.extend(written.map(|w| w.action));
    }
    actions
}
