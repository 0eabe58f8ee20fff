//! The keys of one job, taken one by one; what is left over at the end is a mistake.

use std::collections::BTreeSet;
use std::time::Duration;

use super::expand::{self, Lookup};
use super::names::nearest;
use super::yaml::{Node, Value};
use super::{Origin, Place, Problem, keys, support, values};

/// The keys of one mapping, with everything that is wrong about them.
pub struct Fields<'a> {
    origin: &'a str,
    job: String,
    place: Place,
    /// What its action is, once known.
    action: &'static str,
    entries: Vec<(&'a str, &'a Node)>,
    taken: BTreeSet<&'a str>,
    lookup: Lookup<'a>,
    /// Variables in it are expanded as the legacy scheduler's shell did.
    pub legacy: bool,
    /// What was found wrong.
    pub problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// The keys of a mapping. `origin` is its file or variable, `job` what to call it in messages.
    pub fn new(origin: &'a str, job: String, node: &'a Node, legacy: bool, lookup: Lookup<'a>) -> Self {
        let mut fields = Self {
            origin,
            job,
            place: node.place,
            action: "",
            entries: Vec::new(),
            taken: BTreeSet::new(),
            lookup,
            legacy,
            problems: Vec::new(),
        };
        fields.add(node);
        fields
    }

    /// Adds the keys of a further mapping, such as the one under `run:`.
    pub fn add(&mut self, node: &'a Node) {
        let Value::Map(entries) = &node.value else { return };
        for (key, node) in entries {
            if self.entries.iter().any(|(k, _)| k == key) {
                self.error(key, node.place, "stands here twice");
            } else {
                self.entries.push((key, node));
            }
        }
    }

    /// Puts a node under another key.
    pub fn put(&mut self, key: &'static str, node: &'a Node) {
        self.entries.push((key, node));
    }

    /// Whether a key is there with a value.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, n)| *k == key && n.value != Value::Null)
    }

    /// Which of these keys are there.
    pub fn which(&self, keys: &[&'static str]) -> Vec<&'static str> {
        keys.iter().copied().filter(|k| self.has(k)).collect()
    }

    /// Takes a key; nothing where it is absent or empty.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.taken.insert(key);
        let (_, node) = self.entries.iter().find(|(k, _)| *k == key)?;
        (node.value != Value::Null).then_some(*node)
    }

    /// Where a key stands.
    pub fn place_of(&self, key: &str) -> Place {
        self.entries.iter().find(|(k, _)| *k == key).map_or(self.place, |(_, node)| node.place)
    }

    /// Where the job itself stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The variables.
    pub fn lookup(&self) -> Lookup<'a> {
        self.lookup
    }

    /// Says what its action is.
    pub fn is_a(&mut self, action: &'static str) {
        self.action = action;
    }

    /// The keys of the mapping under a key, which `read` takes one by one. Nothing where one of
    /// them is wrong.
    pub fn nested<T>(
        &mut self,
        key: &'static str,
        node: &'a Node,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let mut inner = Fields::new(self.origin, format!("{}: {key}", self.job), node, self.legacy, self.lookup);
        let found = read(&mut inner);
        let good = inner.finish(&keys::below(key));
        self.problems.append(&mut inner.problems);
        found.filter(|_| good)
    }

    /// What it is called in messages.
    pub fn called(&self) -> &str {
        &self.job
    }

    /// Changes what it is called in messages.
    pub fn rename(&mut self, job: &str) {
        job.clone_into(&mut self.job);
    }

    fn at(&self, place: Place) -> Origin {
        Origin::at(self.origin, place)
    }

    /// Reports a mistake that refuses the job.
    pub fn error(&mut self, key: &str, place: Place, message: impl AsRef<str>) {
        let problem = Problem::error(self.at(place), format!("job {}: {}", self.job, message.as_ref()));
        self.problems.push(if key.is_empty() { problem } else { problem.at_name(key) });
    }

    /// Reports something that is used, but not as it may seem.
    pub fn warning(&mut self, key: &str, place: Place, message: impl AsRef<str>) {
        let problem = Problem::warning(self.at(place), format!("job {}: {}", self.job, message.as_ref()));
        self.problems.push(if key.is_empty() { problem } else { problem.at_name(key) });
    }

    /// Reports a bad value.
    pub fn bad(&mut self, key: &str, place: Place, value: &str, message: impl AsRef<str>, hint: Option<String>) {
        let problem = Problem::error(self.at(place), format!("job {}: {}", self.job, message.as_ref())).at(key, value);
        self.problems.push(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }

    /// A scalar as it is written.
    pub fn raw(&mut self, key: &'static str) -> Option<(String, Place)> {
        let node = self.take(key)?;
        match node.text() {
            Some(text) => Some((text.to_owned(), node.place)),
            None => {
                self.error(key, node.place, format!("expected a text, found {}", node.kind()));
                None
            }
        }
    }

    /// A scalar in which known variables are expanded.
    pub fn text(&mut self, key: &'static str) -> Option<(String, Place)> {
        let (text, place) = self.raw(key)?;
        Some((self.expanded(key, place, &text), place))
    }

    /// A text with known variables expanded; unknown ones stay, with a warning. A bare `$NAME`
    /// counts in legacy files only.
    pub fn expanded(&mut self, key: &str, place: Place, text: &str) -> String {
        let expand = if self.legacy { expand::plain } else { expand::braced };
        let (text, unknown) = expand(text, self.lookup);
        self.warn_unknown(key, place, &unknown);
        text
    }

    /// A text that a shell would read, with known variables expanded.
    pub fn shell_expanded(&mut self, key: &str, place: Place, text: &str) -> String {
        let (text, unknown) = expand::shell_text(text, self.lookup);
        self.warn_unknown(key, place, &unknown);
        text
    }

    fn warn_unknown(&mut self, key: &str, place: Place, unknown: &BTreeSet<String>) {
        for name in unknown {
            self.warning(key, place, format!("${name} is not set and stays as it is"));
        }
    }

    /// The items of a list of texts (one text counts as a list), with variables expanded.
    pub fn list(&mut self, key: &'static str) -> Vec<(String, Place)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let mut items = Vec::new();
        for item in node.items() {
            match item.text() {
                Some(text) => items.push((self.expanded(key, item.place, text), item.place)),
                None => self.error(key, item.place, format!("expected a text, found {}", item.kind())),
            }
        }
        items
    }

    /// A value that a function understands.
    pub fn parsed<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let (text, place) = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.bad(key, place, &text, message, None);
                None
            }
        }
    }

    /// A truth value.
    pub fn truth(&mut self, key: &'static str) -> Option<bool> {
        self.parsed(key, |text| values::truth(text).ok_or_else(|| "expected true or false".to_owned()))
    }

    /// A duration.
    pub fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.parsed(key, values::duration)
    }

    /// Reports every key that nobody took, and those that are for later versions; gives whether the
    /// mapping is without errors.
    pub fn finish(&mut self, known: &[&'static str]) -> bool {
        for (key, node) in self.entries.clone() {
            if self.taken.contains(key) {
                if let Some(why) = support::refusal(key, node) {
                    self.error(key, node.place, why);
                }
            } else if !known.contains(&key) && known.contains(&"run") && keys::names(keys::JOB).contains(&key) {
                self.error(key, node.place, "goes to the job, not to one of its further actions");
            } else if !known.contains(&key) {
                let near = nearest(key, known.iter().copied()).map(|n| format!("; did you mean {n}?"));
                self.error(key, node.place, format!("there is no such key{}", near.unwrap_or_default()));
            } else if self.legacy {
                // The legacy scheduler looked at such a key no more than at an unknown one.
                self.warning(key, node.place, "has no effect here");
            } else if node.value != Value::Null {
                self.error(key, node.place, format!("does not go with {}", self.action));
            }
        }
        !self.problems.iter().any(|p| p.severity == super::Severity::Error)
    }
}
