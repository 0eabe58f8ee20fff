//! Where something stands: a file or variable, and the place in its text.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A place in a text, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Line; zero where the place is not known at all.
    pub line: u64,
    /// Column in characters; zero where only the line is known.
    pub column: u64,
}

/// A file, folder or variable, with a place in its text where one is known. Its text form is
/// `name`, `name:line` or `name:line:column`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Origin {
    /// Path of the file, or name of the variable.
    pub name: String,
    /// The place in it.
    pub place: Option<Place>,
}

impl Origin {
    /// A place in a file or variable.
    pub fn at(name: impl Into<String>, place: Place) -> Self {
        Self { name: name.into(), place: Some(place).filter(|p| p.line > 0) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            0 => write!(f, "{}", self.line),
            column => write!(f, "{}:{column}", self.line),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.place.map_or(Ok(()), |place| write!(f, ":{place}"))
    }
}

impl From<&str> for Origin {
    fn from(text: &str) -> Self {
        let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n > 0);
        // A name in front of the number is needed: `:3` is a name itself.
        let last = |text: &'_ str| -> Option<(usize, u64)> {
            let at = text.rfind(':').filter(|at| *at > 0)?;
            Some((at, number(&text[at + 1..])?))
        };
        let Some((end, one)) = last(text) else { return Self { name: text.to_owned(), place: None } };
        let (name, place) = match last(&text[..end]) {
            Some((at, line)) => (&text[..at], Place { line, column: one }),
            None => (&text[..end], Place { line: one, column: 0 }),
        };
        Self { name: name.to_owned(), place: Some(place) }
    }
}

impl From<String> for Origin {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Origin {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&Path> for Origin {
    fn from(path: &Path) -> Self {
        Self { name: path.display().to_string(), place: None }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_origins() {
        for (text, name, place) in [
            ("/s/env.local", "/s/env.local", None),
            ("/s/env.local:12", "/s/env.local", Some((12, 0))),
            ("/s/jobs.yml:3:14", "/s/jobs.yml", Some((3, 14))),
            ("/s/a:b.yml:3:14", "/s/a:b.yml", Some((3, 14))),
            ("JOBS:2:1", "JOBS", Some((2, 1))),
            ("name:0", "name:0", None),
            (":3", ":3", None),
            ("", "", None),
            ("a:", "a:", None),
        ] {
            let origin = Origin::from(text);
            let expected = place.map(|(line, column)| Place { line, column });
            assert_eq!((origin.name.as_str(), origin.place), (name, expected), "{text}");
            assert_eq!(origin.to_string(), text);
            let json = serde_json::to_string(&origin).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Origin>(&json).unwrap(), origin);
        }
        assert_eq!(Origin::from(Path::new("/a:3")).place, None, "a path is a path");
        assert_eq!(Origin::at("x", Place::default()).to_string(), "x");
    }
}
