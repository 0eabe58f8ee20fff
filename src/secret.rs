//! Values that must never be shown, and the rule that tells them by their name.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What is shown in place of a secret.
pub const MASK: &str = "***";

/// A value that `Debug` and `Display` never show.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Each call is a place to look at in a review.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Whether a variable of this name holds a secret.
///
/// The words are those that operators use for credentials; a name that ends in `_DIR`, `_PATH` or
/// `_FILE` says where a secret lies, which is no secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if ["_DIR", "_PATH", "_FILE"].iter().any(|end| name.ends_with(end)) {
        return false;
    }
    name.ends_with("_KEY")
        || ["PASSWORD", "PASSWD", "TOKEN", "SECRET", "CREDENTIAL", "DSN"].iter().any(|word| name.contains(word))
}

/// The value to show for a variable: itself, or [`MASK`] where its name tells of a secret.
pub fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    if is_secret_name(name) && !value.is_empty() { MASK } else { value }
}

/// The environment of a container. `Debug` masks secrets; serialisation does not, because the
/// store and the engine need the values: documents for people go through [`Environment::masked`].
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(pub BTreeMap<String, String>);

impl Environment {
    /// A copy in which secrets are replaced by [`MASK`].
    pub fn masked(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(k, v)| (k.clone(), shown(k, v).to_owned())).collect()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.masked().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_tell_of_a_secret() {
        for name in ["DB_PASSWORD", "GITHUB_TOKEN", "SENTRY_DSN", "AWS_SECRET_ACCESS_KEY", "api_key", "MY_PASSWD"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["TOKEN_FILE", "AUTODEPLOY_DEPLOY_KEY_ROOT_DIR", "SECRET_PATH", "KEYBOARD", "LOG_DIR"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let env = Environment([("DB_PASSWORD".to_owned(), "hunter2".to_owned())].into());
        assert!(!format!("{env:?} {:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
