//! The keys of one job, taken one by one; what is left over at the end is a mistake.

use std::collections::BTreeSet;
use std::time::Duration;

use super::expand::{self, Lookup};
use super::job_file::JobText;
use super::wrong::{Wrong, listed};
use super::yaml::{Node, Span, Value};
use super::{Problem, Severity, keys, support, values};
use crate::nearest::nearest;

/// The keys of one mapping, with everything that is wrong about them.
pub struct Fields<'a> {
    text: &'a JobText,
    job: Option<String>,
    /// What to put before keys in messages: the keys above, each with a dot.
    above: String,
    place: Span,
    /// What its action is, once known.
    action: &'static str,
    entries: Vec<(&'a str, &'a Node)>,
    taken: BTreeSet<&'static str>,
    lookup: Lookup<'a>,
    /// Variables in it are expanded as the legacy scheduler's shell did.
    pub legacy: bool,
    /// What was found wrong.
    pub problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// The keys of a mapping, of a job that has no name yet.
    pub fn new(text: &'a JobText, node: &'a Node, lookup: Lookup<'a>) -> Self {
        let mut fields = Self {
            text,
            job: None,
            above: String::new(),
            place: node.get("name").map_or_else(|| node.mark(), Node::mark),
            action: "",
            entries: Vec::new(),
            taken: BTreeSet::new(),
            lookup,
            legacy: text.legacy,
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
                self.error(key, node.key.unwrap_or(node.place), "stands here twice");
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

    /// What to point at where something is missing: the name of the job, else its beginning.
    pub fn place(&self) -> Span {
        self.place
    }

    /// Where a key stands; the job itself where it is not there.
    pub fn key_place(&self, key: &str) -> Span {
        self.entries.iter().find(|(k, _)| *k == key).and_then(|(_, node)| node.key).unwrap_or(self.place)
    }

    /// Where a word of a value stands, as far as it is written there as it is.
    pub fn within(&self, place: Span, word: &str) -> Span {
        let Some(value) = self.text.text.get(place.start..place.end) else { return place };
        let bounds = |c: char| c.is_whitespace() || "\"'=".contains(c);
        let alone = |at: &usize| {
            let after = &value[at + word.len()..];
            value[..*at].ends_with(bounds) && (after.is_empty() || after.starts_with(bounds))
                || *at == 0 && after.starts_with(bounds)
        };
        let mut found = value.match_indices(word).map(|(at, _)| at).filter(|at| !word.is_empty() && alone(at));
        let Some(at) = found.next() else { return place };
        let before = &value[..at];
        let (line, column) = match before.rfind('\n') {
            Some(end) => (before.matches('\n').count() as u64, before[end + 1..].chars().count() as u64 + 1),
            None => (0, place.column + before.chars().count() as u64),
        };
        let start = place.start + at;
        Span { line: place.line + line, column, start, end: start + word.len() }
    }

    /// The variables.
    pub fn lookup(&self) -> Lookup<'a> {
        self.lookup
    }

    /// The name of the job.
    pub fn name(&mut self, job: &str) {
        self.job = Some(job.to_owned());
    }

    fn report(&mut self, key: &str, place: Span, problem: Problem) {
        let problem = self.text.placed(problem, place);
        let key = problem.key.as_deref().unwrap_or(key);
        let key = Some(format!("{}{key}", self.above)).filter(|_| !key.is_empty());
        self.problems.push(Problem { key, job: self.job.clone(), ..problem });
    }

    /// Reports a mistake that refuses the job.
    pub fn error(&mut self, key: &str, place: Span, message: impl Into<Wrong>) {
        self.report(key, place, Problem::wrong("", message.into()));
    }

    /// Reports something that is used, but not as it may seem.
    pub fn warning(&mut self, key: &str, place: Span, message: impl Into<Wrong>) {
        let problem = Problem { severity: Severity::Warning, ..Problem::wrong("", message.into()) };
        self.report(key, place, problem);
    }

    /// Reports a bad value.
    pub fn bad(&mut self, key: &str, place: Span, value: &str, message: impl Into<Wrong>, hint: Option<String>) {
        let problem = Problem::wrong("", message.into()).at(key, value);
        let problem = match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        };
        self.report(key, place, problem);
    }

    /// Says what its action is.
    pub fn is_a(&mut self, action: &'static str) {
        self.action = action;
    }

    /// The keys of a mapping below a key of this one.
    pub fn below(&self, key: &str, node: &'a Node) -> Self {
        let mut below = Self::new(self.text, node, self.lookup);
        below.job.clone_from(&self.job);
        (below.above, below.legacy) = (format!("{}{key}.", self.above), self.legacy);
        below
    }

    /// The keys of the mapping under a key, which `read` takes one by one. Nothing where one of
    /// them is wrong.
    pub fn nested<T>(
        &mut self,
        key: &'static str,
        node: &'a Node,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let mut inner = self.below(key, node);
        let found = read(&mut inner);
        let good = inner.finish(&keys::below(key));
        self.absorb(&mut inner);
        found.filter(|_| good)
    }

    /// Takes over what was found in a mapping below this one.
    pub fn absorb(&mut self, inner: &mut Fields<'_>) {
        self.problems.append(&mut inner.problems);
    }

    /// A scalar as it is written.
    pub fn raw(&mut self, key: &'static str) -> Option<(String, Span)> {
        let node = self.take(key)?;
        match node.text() {
            Some(text) => Some((text.to_owned(), node.place)),
            None => {
                self.error(key, node.mark(), unexpected("a text", node));
                None
            }
        }
    }

    /// A scalar in which known variables are expanded.
    pub fn text(&mut self, key: &'static str) -> Option<(String, Span)> {
        let (text, place) = self.raw(key)?;
        Some((self.expanded(key, place, &text), place))
    }

    /// A text with known variables expanded; unknown ones stay, with a warning. A bare `$NAME`
    /// counts in legacy files only.
    pub fn expanded(&mut self, key: &str, place: Span, text: &str) -> String {
        let expand = if self.legacy { expand::plain } else { expand::braced };
        let (text, unknown) = expand(text, self.lookup);
        self.warn_unknown(key, place, &unknown);
        text
    }

    /// A text that a shell would read, with known variables expanded.
    pub fn shell_expanded(&mut self, key: &str, place: Span, text: &str) -> String {
        let (text, unknown) = expand::shell_text(text, self.lookup);
        self.warn_unknown(key, place, &unknown);
        text
    }

    fn warn_unknown(&mut self, key: &str, place: Span, unknown: &BTreeSet<String>) {
        for name in unknown {
            self.warning(key, place, format!("${name} is not set and stays as it is"));
        }
    }

    /// The items of a list of texts (one text counts as a list), with variables expanded.
    pub fn list(&mut self, key: &'static str) -> Vec<(String, Span)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let mut items = Vec::new();
        for item in node.items() {
            match item.text() {
                Some(text) => items.push((self.expanded(key, item.place, text), item.place)),
                None => self.error(key, item.mark(), unexpected("a text", item)),
            }
        }
        items
    }

    /// A value that a function understands.
    pub fn parsed<T, E: Into<Wrong>>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
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
        self.parsed(key, |text| values::truth(text).ok_or("expected true or false"))
    }

    /// A duration.
    pub fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.parsed(key, values::duration)
    }

    /// Reports every key that nobody took, and those that are for later versions; gives whether the
    /// mapping is without errors.
    pub fn finish(&mut self, known: &[&'static str]) -> bool {
        for (key, node) in self.entries.clone() {
            let place = node.key.unwrap_or(node.place);
            if self.taken.contains(key) {
                if let Some(why) = support::refusal(key, node).filter(|_| self.above.is_empty()) {
                    self.error(key, place, why);
                }
            } else if !known.contains(&key) && known.contains(&"run") && keys::names(keys::JOB).contains(&key) {
                self.error(key, place, "goes to the job, not to one of its further actions");
            } else if !known.contains(&key) {
                self.unknown(key, place, known);
            } else if self.legacy {
                // The legacy scheduler looked at such a key no more than at an unknown one.
                self.warning(key, place, "has no effect here");
            } else if node.value != Value::Null {
                self.error(key, place, format!("does not go with {}", self.action));
            }
        }
        !self.problems.iter().any(|p| p.severity == Severity::Error)
    }

    fn unknown(&mut self, key: &str, place: Span, known: &[&'static str]) {
        let near = nearest(key, known.iter().copied());
        // What is only misspelt is not missing.
        let missing = near.map(|near| format!("{}{near}", self.above));
        self.problems.retain(|p| p.message != "is missing" || p.key != missing);
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        // A few are said, many are not.
        let expected = (known.len() <= 8).then(|| listed(known));
        let message = "is no known key".to_owned();
        self.error(key, place, Wrong { message, expected, hint });
    }
}

/// A value of the wrong kind.
pub fn unexpected(expected: &str, node: &Node) -> Wrong {
    Wrong { expected: Some(expected.to_owned()), ..Wrong::from(format!("is {}", node.kind())) }
}
