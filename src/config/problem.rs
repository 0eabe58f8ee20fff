//! What is wrong with a configuration, and the way out.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::excerpt::Excerpt;
use super::masking::Masking;
use super::probe::Gathered;
use super::wrong::Wrong;
use super::{Origin, Place};

/// One mistake, with all that is needed to mend it. Those of a configuration that was loaded hold
/// no secret any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub origin: Origin,
    /// The job that it is about.
    #[serde(default)]
    pub job: Option<String>,
    /// The key or variable.
    pub key: Option<String>,
    /// The offending value.
    pub value: Option<String>,
    /// What is wrong.
    pub message: String,
    /// The form or the set of values that is understood there.
    #[serde(default)]
    pub expected: Option<String>,
    /// The way out.
    pub hint: Option<String>,
    /// What else helps to find the place.
    #[serde(default)]
    pub note: Option<String>,
    /// The lines that it stands in.
    #[serde(default)]
    pub excerpt: Option<Excerpt>,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The part that it concerns is refused.
    Error,
    /// It is used, but not as it may seem.
    Warning,
}

impl Problem {
    /// An error.
    pub fn error(origin: impl Into<Origin>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            origin: origin.into(),
            job: None,
            key: None,
            value: None,
            message: message.into(),
            expected: None,
            hint: None,
            note: None,
            excerpt: None,
        }
    }

    /// A warning.
    pub fn warning(origin: impl Into<Origin>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(origin, message) }
    }

    /// Adds key and value; the value is masked where the key tells of a secret.
    #[must_use]
    pub fn at(mut self, key: &str, value: &str) -> Self {
        self.value = Some(super::setting::shown(key, value));
        self.key = Some(key.to_owned());
        self
    }

    /// Adds the key alone.
    #[must_use]
    pub fn at_name(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// A value that is not understood.
    pub fn wrong(origin: impl Into<Origin>, wrong: Wrong) -> Self {
        Self { expected: wrong.expected, hint: wrong.hint, ..Self::error(origin, wrong.message) }
    }

    /// Adds the name of the job.
    #[must_use]
    pub fn of_job(mut self, job: &str) -> Self {
        self.job = Some(job.to_owned());
        self
    }

    /// Adds what else helps to find the place.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Points at the assignment of the variable that it is about, where that is known and it has
    /// no place of its own.
    pub fn locate(&mut self, values: &BTreeMap<String, Gathered>) {
        if self.origin.place.is_some() || self.excerpt.is_some() {
            return;
        }
        let variable = self.key.clone().unwrap_or_else(|| self.origin.name.clone());
        let gathered =
            values.get(&variable).filter(|g| [g.source.as_str(), &variable].contains(&self.origin.name.as_str()));
        let Some(written) = gathered.and_then(|gathered| gathered.written.as_ref()) else { return };
        if self.key.is_none() {
            self.key = Some(variable.clone());
        }
        let place = Place { line: written.line as u64, column: written.column as u64 };
        self.origin = Origin::at(written.file.display().to_string(), place);
        // Without a value it is the name that is wrong.
        self.excerpt = match &self.value {
            Some(_) => Excerpt::of_assignment(written),
            None => Excerpt::of_name(written, &variable),
        };
        if let Some(excerpt) = &self.excerpt {
            self.origin.place = Some(excerpt.place());
        }
    }

    /// Adds the way out; a second one comes after the first.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.hint = Some(match self.hint.take() {
            Some(first) => format!("{first}; {hint}"),
            None => hint,
        });
        self
    }

    /// What is wrong, as a sentence that reads alone.
    pub fn title(&self) -> String {
        let sentence = self.sentence();
        if sentence == self.message && self.speaks_of_its_place() {
            return visible(&format!("{} {sentence}", self.origin.name.rsplit('/').next().unwrap_or_default()));
        }
        visible(&sentence)
    }

    /// Whether the message begins with a verb: it speaks of the key, the job, or the whole file.
    fn speaks_of_its_place(&self) -> bool {
        VERBS.contains(&self.message.split(' ').next().unwrap_or_default())
    }

    /// What is wrong, beside the origin.
    fn sentence(&self) -> String {
        let job = self.job.as_ref().map(|job| format!("job {job:?}: ")).unwrap_or_default();
        match (&self.key, self.speaks_of_its_place()) {
            (Some(key), true) => format!("{job}{key} {}", self.message),
            (Some(key), false) => format!("{job}{key}: {}", self.message),
            (None, true) => match &self.job {
                Some(job) => format!("job {job:?} {}", self.message),
                None => self.message.clone(),
            },
            (None, false) => format!("{job}{}", self.message),
        }
    }

    /// Takes secrets out of everything that is shown.
    pub fn mask(&mut self, masking: &Masking) {
        self.message = masking.masked(&self.message);
        for text in [&mut self.key, &mut self.hint, &mut self.note, &mut self.expected].into_iter().flatten() {
            *text = masking.masked(text);
        }
        self.value = self.value.as_deref().map(|value| masking.masked_source(value));
        if let Some(excerpt) = &mut self.excerpt {
            excerpt.mask(masking);
        }
    }
}

/// What messages about a key or a file begin with.
const VERBS: &[&str] = &[
    "begins", "cannot", "depends", "did", "does", "ended", "has", "holds", "is", "lets", "lies", "mounts", "names",
    "reads", "replaced", "sets", "stands", "takes", "was",
];

impl fmt::Display for Problem {
    /// One line that reads alone, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut line = format!("{severity}: {}: {}", self.origin, self.sentence());
        if let Some(value) = &self.value {
            line.push_str(&format!(" ({value:?})"));
        }
        let expected = self.expected.as_ref().map(|expected| format!("expected {expected}"));
        for more in [&expected, &self.hint, &self.note].into_iter().flatten() {
            line.push_str(if line.ends_with('?') { " " } else { "; " });
            line.push_str(more);
        }
        f.write_str(&visible(&line))
    }
}

/// One line in which control characters are seen instead of obeyed.
pub fn visible(text: &str) -> String {
    let picture = |c: char| match c {
        '\n' | '\t' => ' ',
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(picture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_that_reads_alone() {
        let bad = Problem::wrong("/s/jobs.yml:3:9", Wrong::from("expected true or false")).at("socket", "a\nb");
        let bad = bad.of_job("x").hint("say `true`").hint("or not").note("from\nthere");
        assert_eq!(
            bad.to_string(),
            r#"error: /s/jobs.yml:3:9: job "x": socket is not understood ("a\nb"); expected true or false; say `true`; or not; from there"#
        );
        let titles = [
            (Problem::error("/s/env.local", "was left by `return 1`"), "env.local was left by `return 1`"),
            (Problem::error("/s/env.local:3", "syntax error"), "syntax error"),
            (Problem::error("/s/a", "the entry is commented out").at_name("DIRS"), "DIRS: the entry is commented out"),
            (Problem::error("/s/a", "has no action").of_job("x"), "job \"x\" has no action"),
            (Problem::error("/s/a", "is missing").at_name("schedule"), "schedule is missing"),
            (Problem::error("/s/a", "is no known key").at_name("a\x1b[31m\nb"), "a\u{241b}[31m b is no known key"),
        ];
        for (problem, title) in titles {
            assert_eq!(problem.title(), title);
        }
    }

    #[test]
    fn a_secret_is_taken_out_of_all_of_it() {
        let masking = Masking::of([("DB_PASSWORD", "hunter2222")]);
        let mut problem =
            Problem::error("/s/a:1:1", "no hunter2222").at("x", "y hunter2222").hint("hunter2222").note("hunter2222");
        problem.expected = Some("hunter2222".to_owned());
        problem.excerpt = Excerpt::of("a: hunter2222", 3..5);
        problem.mask(&masking);
        let json = serde_json::to_string(&problem).unwrap();
        assert!(!json.contains("hunter") && !format!("{problem} {problem:?}").contains("hunter"), "{json}");
    }
}
