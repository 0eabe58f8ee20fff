//! YAML as a tree in which every node knows its line and column.
//!
//! Scalars keep the text as it was written (`1.10` stays `1.10`, `yes` stays `yes`): what a value
//! means is decided by the key it belongs to, not by its looks.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::Place;

/// Aliases of aliases grow without bound; the default of the library lets a line of them take a second.
const REPLAYED: usize = 20_000;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Line of its start, from 1; zero where it is not known.
    pub line: u64,
    /// Column of its start.
    pub column: u64,
    /// First byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// A node with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands; of a list or mapping only its beginning.
    pub place: Span,
    /// Where the key stands that it belongs to.
    pub key: Option<Span>,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Any scalar, as text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in its order; of a key that stands twice the first holds.
    Map(Vec<(String, Node)>),
}

/// Why a text is no YAML.
#[derive(Debug, Clone, PartialEq)]
pub struct YamlError {
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: String,
}

/// The first key that stands in one mapping twice.
pub fn doubled(text: &str) -> Option<Span> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPLAYED },
    };
    let error = serde_saphyr::from_multiple_with_options::<Raw>(text, options).err()?;
    let at =
        matches!(error.without_snippet(), serde_saphyr::Error::DuplicateMappingKey { .. }).then(|| error.location())?;
    let mut span = character(text, at?);
    let key = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    span.end = span.start + text[span.start..].find(|c: char| !key(c)).unwrap_or(0).max(span.end - span.start);
    Some(span)
}

/// Reads all documents of a text.
///
/// # Errors
/// When the text is no YAML, with the place of the first mistake.
pub fn parse(text: &str) -> Result<Vec<Node>, YamlError> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::FirstWins,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPLAYED },
    };
    match serde_saphyr::from_multiple_with_options::<Spanned<Raw>>(text, options) {
        Ok(documents) => Ok(documents.into_iter().map(|d| node(d, text)).collect()),
        Err(error) => {
            let span = error.location().map(|at| character(text, at)).unwrap_or_default();
            let message = error.without_snippet().to_string();
            let message = message.lines().next().unwrap_or_default();
            // The place stands in the origin already.
            let message = message.split(" at line ").next().unwrap_or(message).to_owned();
            let message = if message.starts_with("budget breached") {
                // The numbers of the library say nothing to who wrote the file.
                "it comes to more values than a file may hold, aliases counted each time".to_owned()
            } else {
                message
            };
            Err(YamlError { span, message })
        }
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self { line: span.line, column: span.column }
    }
}

impl Node {
    /// What to point at when it is wrong: itself, or its key where it has no extent of its own.
    pub fn mark(&self) -> Span {
        match (&self.value, self.key) {
            (Value::Text(_), _) | (_, None) => self.place,
            (_, Some(key)) => key,
        }
    }

    /// The text of a scalar; a list or mapping has none.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The node of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, n)| n),
            _ => None,
        }
    }

    /// The items of a list; a single scalar or mapping counts as a list of one, nothing as none.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// What it is, for messages.
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The character at a place: errors know no bytes.
fn character(text: &str, at: Location) -> Span {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
    let line = text.split('\n').nth(number(at.line())).unwrap_or_default();
    let start = text.len().min(line.as_ptr().addr().saturating_sub(text.as_ptr().addr()));
    let mut rest = line.char_indices().skip(number(at.column()));
    let start = start + rest.next().map_or(line.len(), |(at, _)| at);
    let end = start + text[start..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
    Span { line: at.line(), column: at.column(), start, end }
}

fn span(location: Location) -> Span {
    let number = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let start = number(location.span().byte_offset());
    let end = start + number(location.span().byte_len());
    Span { line: location.line(), column: location.column(), start, end }
}

enum Raw {
    Null,
    /// A number or truth value whose own text is cut from the source.
    Typed(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, source: &str) -> Node {
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Text(text) => Value::Text(text),
        Raw::Typed(fallback) => Value::Text(written(raw.defined, source).unwrap_or(fallback)),
        Raw::List(items) => Value::List(items.into_iter().map(|i| node(i, source)).collect()),
        Raw::Map(entries) => Value::Map(entries.into_iter().map(|(key, value)| entry(key, value, source)).collect()),
    };
    Node { place: span(raw.referenced), key: None, value }
}

fn entry(key: Spanned<String>, value: Spanned<Raw>, source: &str) -> (String, Node) {
    let place = span(key.referenced);
    (key.value, Node { key: Some(place), ..node(value, source) })
}

/// The text of a plain scalar as it stands in the source.
fn written(at: Location, source: &str) -> Option<String> {
    let start = usize::try_from(at.span().byte_offset()?).ok()?;
    let length = usize::try_from(at.span().byte_len()?).ok()?;
    let text = source.get(start..start.checked_add(length)?)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;
        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any YAML")
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_none<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Raw, D::Error> {
                Raw::deserialize(d)
            }
            fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
                Ok(Raw::Typed(v.to_string()))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Raw, E> {
                Ok(Raw::Typed(v.to_string()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Raw, E> {
                Ok(Raw::Typed(v.to_string()))
            }
            fn visit_i128<E>(self, v: i128) -> Result<Raw, E> {
                Ok(Raw::Typed(v.to_string()))
            }
            fn visit_u128<E>(self, v: u128) -> Result<Raw, E> {
                Ok(Raw::Typed(v.to_string()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Raw, E> {
                Ok(Raw::Typed(v.to_string()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
                Ok(Raw::Text(v.to_owned()))
            }
            fn visit_string<E>(self, v: String) -> Result<Raw, E> {
                Ok(Raw::Text(v))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Raw::Map(entries))
            }
        }
        deserializer.deserialize_any(RawVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        parse(text).unwrap().remove(0)
    }

    #[test]
    fn scalars_keep_their_text_and_place() {
        let root = one("- name: x\n  port: 0080\n  v: 1.10\n  on: yes\n  s: '1.10'\n  big: >-\n    a\n    b\n");
        let job = &root.items()[0];
        for (key, text, line) in
            [("port", "0080", 2), ("v", "1.10", 3), ("on", "yes", 4), ("s", "1.10", 5), ("big", "a b", 7)]
        {
            let node = job.get(key).unwrap_or_else(|| panic!("{key}: {job:?}"));
            assert_eq!((node.text(), node.place.line), (Some(text), line), "{key}");
        }
    }

    #[test]
    fn empty_texts_and_several_documents() {
        assert!(parse("# only a comment\n").unwrap().iter().all(|n| n.value == Value::Null));
        assert!(parse("").unwrap().iter().all(|n| n.value == Value::Null));
        assert_eq!(parse("---\n- a\n---\n- b\n").unwrap().len(), 2);
    }

    #[test]
    fn mistakes_have_a_place() {
        let error = parse("- name: x\n  a: [1\n- b: 2\n").unwrap_err();
        assert!(error.span.line >= 2, "{error:?}");
        assert!(!error.message.contains('\n'));
    }

    #[test]
    fn anchors_and_merges() {
        let root = one("base: &b {image: a}\njob:\n  <<: *b\n  command: c\n");
        assert_eq!(root.get("job").unwrap().get("image").unwrap().text(), Some("a"));
    }
}
