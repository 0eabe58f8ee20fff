//! What a setting takes that only a later version uses: it is checked all the same.

use chrono_tz::Tz;

use super::{values, words};
use crate::schedule::Schedule;

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Anything.
    Text,
    /// Words as a shell splits them.
    Words,
    /// Yes or no.
    Truth,
    /// Such as `90s`.
    Duration,
    /// Such as `2GB`.
    Bytes,
    /// Such as `1.5`.
    Cpus,
    /// Such as `@daily`.
    Schedule,
    /// An absolute path.
    Path,
    /// Absolute paths, separated by white space.
    Paths,
    /// `host:port`.
    Address,
    /// An address of the web.
    Url,
    /// Several, separated by white space.
    Urls,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Takes {
    /// Whether a value has the form.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn check(self, text: &str) -> Result<(), String> {
        let wanted = |good: bool, what: &str| if good { Ok(()) } else { Err(format!("expected {what}")) };
        let url =
            |text: &str| text.split_once("://").is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
        match self {
            Self::Text => Ok(()),
            Self::Words => words::words(text).map(|_| ()),
            Self::Truth => wanted(values::truth(text).is_some(), "true or false"),
            Self::Duration => values::duration(text).map(|_| ()),
            Self::Bytes => values::bytes(text).map(|_| ()),
            Self::Cpus => values::nano_cpus(text).map(|_| ()),
            Self::Schedule => Schedule::parse(text, Tz::UTC, "x").map(|_| ()).map_err(|error| error.to_string()),
            Self::Path => wanted(text.starts_with('/'), "an absolute path"),
            Self::Paths => wanted(text.split_whitespace().all(|p| p.starts_with('/')), "absolute paths"),
            Self::Address => {
                wanted(text.parse::<std::net::SocketAddr>().is_ok(), "an address such as 127.0.0.1:8480 or [::1]:8480")
            }
            Self::Url => wanted(url(text), "an address such as https://example.org/x"),
            Self::Urls => wanted(text.split_whitespace().all(url), "addresses such as https://example.org/x"),
            Self::Choice(words) => wanted(words.contains(&text), &words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (takes, good, bad) in [
            (Takes::Words, "-a '*' x", "-a '"),
            (Takes::Truth, "off", "maybe"),
            (Takes::Duration, "3d", "soon"),
            (Takes::Bytes, "2GB", "much"),
            (Takes::Cpus, "1.5", "0"),
            (Takes::Schedule, "1 1 * * *", "1 1 * *"),
            (Takes::Path, "/srv/x", "x"),
            (Takes::Paths, "/srv/x\n/y", "/x y"),
            (Takes::Address, "[::1]:8480", "8480"),
            (Takes::Url, "https://x", "x"),
            (Takes::Urls, "https://x ntfy://y", "https://x y"),
            (Takes::Choice(&["a", "b"]), "b", "c"),
        ] {
            assert_eq!(takes.check(good), Ok(()), "{takes:?}");
            let error = takes.check(bad).unwrap_err();
            assert!(!error.is_empty() && !error.contains("hunter2"), "{takes:?}");
        }
        assert_eq!(Takes::Text.check(""), Ok(()));
    }
}
