//! Values that must never be shown, and the rule that tells them by their name.

use std::borrow::Cow;
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
    // Whoever knows these addresses can use them.
    let address = ["SCHEDULER_HEARTBEAT_URL", "SCHEDULER_NOTIFY"].contains(&name.as_str());
    address
        || ["_KEY", "_PASS", "APIKEY"].iter().any(|end| name.ends_with(end))
        || ["PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "SECRET", "CREDENTIAL", "DSN"]
            .iter()
            .any(|word| name.contains(word))
}

/// A text with the credentials of all addresses in it masked.
pub fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/'\"`<>".contains(c)).unwrap_or(after.len());
        rest = after;
        if let Some(sign) = after[..end].rfind('@') {
            let user = &after[..sign];
            // the user of an ssh address is no secret, and names the account
            let plain = before.ends_with("ssh://") && !user.contains(':');
            shown.push_str(if plain { user } else { MASK });
            rest = &after[sign..];
        }
    }
    shown + rest
}

/// The value to show for a variable: [`MASK`] where its name tells of a secret, else itself without
/// the credentials of addresses.
pub fn shown<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    match value {
        "" => Cow::Borrowed(value),
        _ if is_secret_name(name) => Cow::Borrowed(MASK),
        _ if value.contains("://") => Cow::Owned(redact(value)),
        _ => Cow::Borrowed(value),
    }
}

/// The value to show for a header of a request: one that says who asks is a secret.
pub fn shown_header<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let secret = ["AUTH", "COOKIE", "SIGNATURE"].iter().any(|word| name.contains(word));
    if secret && !value.is_empty() { Cow::Borrowed(MASK) } else { shown(&name, value) }
}

/// An address of the web as it may be shown: without credentials, and without what lets whoever
/// knows the address use it. Such a token is a value of the query whose name tells of a secret, or a
/// word of the path or the query that looks like one.
pub fn shown_address(url: &str) -> String {
    let url = redact(url);
    let url = url.split('#').next().unwrap_or_default();
    let (place, query) = url.split_once('?').map_or((url, None), |(place, query)| (place, Some(query)));
    let word = |word: &str| if looks_like_a_token(word) { MASK.to_owned() } else { word.to_owned() };
    let start = place.find("://").map_or(0, |at| at + 3);
    let path = start + place[start..].find('/').unwrap_or(place.len() - start);
    let mut text = place[..path].to_owned();
    text.push_str(&place[path..].split('/').map(word).collect::<Vec<_>>().join("/"));
    if let Some(query) = query {
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, value)) if shown(&name.replace('-', "_"), value) == MASK => format!("{name}={MASK}"),
            Some((name, value)) => format!("{name}={}", word(value)),
            None => word(pair),
        };
        text.push('?');
        text.push_str(&query.split('&').map(pair).collect::<Vec<_>>().join("&"));
    }
    text
}

/// Long, of letters and digits.
fn looks_like_a_token(word: &str) -> bool {
    word.len() >= 20 && word.contains(|c: char| c.is_ascii_digit()) && word.contains(|c: char| c.is_ascii_alphabetic())
}

/// The environment of a container. `Debug` masks secrets; serialisation does not, because the
/// store and the engine need the values: documents for people go through [`Environment::masked`].
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(pub BTreeMap<String, String>);

impl Environment {
    /// A copy in which secrets are replaced by [`MASK`].
    pub fn masked(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(k, v)| (k.clone(), shown(k, v).into_owned())).collect()
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
        for name in [
            "BORG_PASSPHRASE",
            "SMTP_PASS",
            "APIKEY",
            "DB_PASSWORD",
            "GITHUB_TOKEN",
            "SENTRY_DSN",
            "AWS_SECRET_ACCESS_KEY",
            "api_key",
            "MY_PASSWD",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["TOKEN_FILE", "AUTODEPLOY_DEPLOY_KEY_ROOT_DIR", "SECRET_PATH", "KEYBOARD", "LOG_DIR", "BYPASS"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn addresses_lose_what_lets_others_use_them() {
        for (url, expected) in [
            ("https://me:pw@h.org/a/b?x=1", "https://***@h.org/a/b?x=1"),
            ("https://h.org/x?api-key=abc&token=&q=a+b#frag", "https://h.org/x?api-key=***&token=&q=a+b"),
            ("https://hooks.org/services/T0AB/0123456789abcdef0123", "https://hooks.org/services/T0AB/***"),
            ("https://hc.org/8e9d4f2a-1111-2222-3333-444455556666/fail", "https://hc.org/***/fail"),
            ("https://h.org?8e9d4f2a111122223333", "https://h.org?***"),
            ("https://a-host-with-a-long-name-1.example.org", "https://a-host-with-a-long-name-1.example.org"),
            ("http://h/a-path-without-any-number", "http://h/a-path-without-any-number"),
            ("?", "?"),
        ] {
            assert_eq!(shown_address(url), expected);
        }
    }

    #[test]
    fn headers_that_say_who_asks() {
        for name in ["Authorization", "Proxy-Authorization", "X-Api-Key", "PRIVATE-TOKEN", "Cookie", "X-Hub-Signature"]
        {
            assert_eq!(shown_header(name, "abc"), MASK, "{name}");
        }
        for name in ["Accept", "Content-Type", "X-Request-Id"] {
            assert_eq!(shown_header(name, "abc"), "abc", "{name}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let pairs = [("DB_PASSWORD", "hunter2"), ("HTTP_PROXY", "http://me:hunter2@proxy:3128")];
        let env = Environment(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert!(!format!("{env:?} {:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
