//! Names of jobs and the slugs made of them.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A job's name: any text without control characters, at most 200 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobName(String);

/// Why a text cannot be the name of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing but white space.
    #[error("a job needs a name")]
    Empty,
    /// Longer than 200 bytes.
    #[error("a job's name may have at most 200 bytes")]
    TooLong,
    /// Holds a line break or another control character.
    #[error("a job's name may hold no control characters")]
    Control,
}

impl JobName {
    /// Checks and wraps a name; white space at the ends is dropped.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.len() > 200 {
            return Err(InvalidName::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidName::Control);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lower-case ASCII letters, digits and dashes, at most 24 of them: for container names.
    /// Two names may share a slug; [`JobName::hash4`] tells them apart.
    pub fn slug(&self) -> String {
        let mut slug = String::new();
        for c in self.0.chars() {
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug.truncate(24);
        let slug = slug.trim_end_matches('-');
        if slug.is_empty() { "job".to_owned() } else { slug.to_owned() }
    }

    /// Four hexadecimal digits of the name's SHA-256.
    pub fn hash4(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        format!("{:02x}{:02x}", digest[0], digest[1])
    }

    /// The name of its log below the log dir: the name itself with what no file name should hold
    /// replaced, so that `autodeploy` gives `autodeploy.log`.
    pub fn log_file(&self) -> String {
        let safe: String =
            self.0.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
        format!("{}.log", safe.trim_start_matches('.'))
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for JobName {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(&text)
    }
}

impl From<JobName> for String {
    fn from(name: JobName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_short_and_plain() {
        for (name, slug) in [
            ("autodeploy", "autodeploy"),
            ("Renew Let's Encrypt!", "renew-let-s-encrypt"),
            ("été", "t"),
            ("***", "job"),
            ("deploy_raven_testdata_to_thredds", "deploy-raven-testdata-to"),
        ] {
            assert_eq!(JobName::new(name).unwrap().slug(), slug, "{name}");
        }
    }

    #[test]
    fn log_files_stay_in_their_folder() {
        assert_eq!(JobName::new("../../etc/passwd").unwrap().log_file(), "-..-etc-passwd.log");
        assert_eq!(JobName::new("autodeploy").unwrap().log_file(), "autodeploy.log");
    }

    #[test]
    fn names_that_are_none() {
        assert_eq!(JobName::new("  "), Err(InvalidName::Empty));
        assert_eq!(JobName::new("a\nb"), Err(InvalidName::Control));
        assert_eq!(JobName::new(&"x".repeat(201)), Err(InvalidName::TooLong));
    }
}
