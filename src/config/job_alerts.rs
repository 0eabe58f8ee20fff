//! When a job is due beside its schedule, and who hears of its runs.

use std::time::Duration;

use super::fields::{Fields, unexpected};
use super::job_container::filled;
use super::job_http::address_at;
use super::resolve::Context;
use super::yaml::Value;
use super::{conf_dir, wrong::choice};
use crate::job::{Notify, NotifyOn, Ping, Watch};

/// `watch: {path: …}`.
pub fn watch(fields: &mut Fields<'_>, context: &Context<'_>) -> Option<Watch> {
    let node = fields.take("watch")?;
    if !matches!(node.value, Value::Map(_)) {
        fields.error("watch", node.mark(), unexpected("a mapping with at least `path`", node));
        return None;
    }
    fields.nested("watch", node, |inner| {
        let path = inner.parsed("path", filled);
        if path.is_none() && !inner.has("path") {
            let place = inner.place();
            inner.error("path", place, "is missing");
        }
        let positive = |time: Duration| if time.is_zero() { Err("must be above zero".to_owned()) } else { Ok(time) };
        let time = |text: &str| super::values::duration(text).and_then(positive);
        let glob = inner.parsed("glob", filled).unwrap_or_else(|| "*".to_owned());
        let settle = inner.parsed("settle", time).unwrap_or(Duration::from_secs(30));
        let poll = inner.parsed("poll", time).unwrap_or(Duration::from_secs(60));
        let path = conf_dir::absolute(&context.settings.compose_dir, path?);
        Some(Watch { path, glob, settle, poll })
    })
}

/// `ping: ADDRESS` or a mapping.
pub fn ping(fields: &mut Fields<'_>) -> Option<Ping> {
    let node = fields.take("ping")?;
    match &node.value {
        Value::Text(text) => {
            let text = fields.expanded("ping", node.place, text);
            let success = address_at(fields, "ping", &text, node.place)?;
            Some(Ping { success: Some(success), ..Ping::default() })
        }
        Value::Map(_) => fields.nested("ping", node, |inner| {
            let [start, success, failure] = ["start", "success", "failure"]
                .map(|key| inner.text(key).and_then(|(text, place)| address_at(inner, key, &text, place)));
            Some(Ping { start, success, failure })
        }),
        _ => {
            fields.error("ping", node.mark(), unexpected("an address or a mapping", node));
            None
        }
    }
}

/// `notify: [TARGET]`, `notify: none`, or a mapping.
pub fn notify(fields: &mut Fields<'_>) -> Option<Notify> {
    let node = fields.take("notify")?;
    match &node.value {
        Value::Map(_) => fields.nested("notify", node, |inner| {
            let to = inner.list("to").into_iter().map(|t| t.0).collect();
            let mut on = Vec::new();
            for (word, place) in inner.list("on") {
                match choice(&word, &NotifyOn::ALL.map(|event| (event.word(), event))) {
                    Ok(event) => on.push(event),
                    Err(wrong) => inner.bad("on", place, &word, wrong, None),
                }
            }
            Some(Notify { to, on })
        }),
        _ => {
            let to = fields.list("notify").into_iter().map(|t| t.0).filter(|t| t != "none").collect();
            Some(Notify { to, on: Vec::new() })
        }
    }
}
