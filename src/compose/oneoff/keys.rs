//! The keys of a service: each is taken by who understands it, what is left is named.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::model::text;

/// Keys of the service's place in the stack, of its image's making, or of programs that look after
/// it. A one-off container has nothing of them, whatever they say.
const PLACE: &[&str] = &[
    "attach",
    "container_name",
    "depends_on",
    "develop",
    "domainname",
    "env_file",
    "expose",
    "extends",
    "healthcheck",
    "hostname",
    "label_file",
    "logging",
    "mac_address",
    "ports",
    "profiles",
    "pull_policy",
    "restart",
    "scale",
    "stdin_open",
    "stop_grace_period",
    "tty",
];

/// A service's mapping, key by key.
pub(super) struct Keys<'a> {
    service: &'a Map<String, Value>,
    taken: BTreeSet<&'static str>,
    remarks: Vec<String>,
}

impl<'a> Keys<'a> {
    pub(super) fn of(service: &'a Map<String, Value>) -> Self {
        Self { service, taken: PLACE.iter().copied().collect(), remarks: vec![] }
    }

    /// What a key says; null when it says nothing.
    pub(super) fn take(&mut self, key: &'static str) -> &'a Value {
        self.taken.insert(key);
        self.service.get(key).unwrap_or(&Value::Null)
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        text(self.take(key)).filter(|text| !text.is_empty())
    }

    /// A truth value.
    pub(super) fn truth(&mut self, key: &'static str) -> Option<bool> {
        match self.take(key) {
            Value::Bool(truth) => Some(*truth),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Says that the container goes without something.
    pub(super) fn without(&mut self, what: impl std::fmt::Display) {
        self.remarks.push(format!("it goes without {what}"));
    }

    /// What it goes without; keys that nobody took are among it.
    pub(super) fn remarks(mut self) -> Vec<String> {
        for (key, value) in self.service {
            let says = match value {
                Value::Null | Value::Bool(false) => false,
                Value::String(text) => !text.is_empty(),
                Value::Array(items) => !items.is_empty(),
                Value::Object(entries) => !entries.is_empty(),
                Value::Bool(true) | Value::Number(_) => true,
            };
            if says && !self.taken.contains(key.as_str()) && !key.starts_with("x-") {
                self.remarks.push(format!("it goes without {key} of the service"));
            }
        }
        self.remarks
    }
}
