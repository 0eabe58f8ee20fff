//! What is wrong with a configuration, and the way out.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Origin;

/// One mistake, with all that is needed to mend it. Values of secrets are masked already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub origin: Origin,
    /// The key or variable.
    pub key: Option<String>,
    /// The offending value.
    pub value: Option<String>,
    /// What is wrong, and what was expected.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
            key: None,
            value: None,
            message: message.into(),
            hint: None,
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

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}: ", self.origin)?;
        match (&self.key, &self.value) {
            (Some(key), Some(value)) => write!(f, "{key}={value:?}: ")?,
            (Some(key), None) => write!(f, "{key}: ")?,
            _ => {}
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}
