//! Secrets inside of other texts: a password in an address, a token among options.

use std::ops::Range;

use serde_json::Value;

use super::setting::Setting;
use crate::secret::{MASK, is_secret_name};

/// Shorter values are too likely to be a part of something else.
const SHORTEST: usize = 6;

/// The values that no document may hold. Has no `Debug` for that reason.
#[derive(Clone, Default)]
pub struct Masking(Vec<String>);

impl Masking {
    /// The values of all variables that hold a secret, each line of them included, and the
    /// credentials in those of proxies.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let secrets = variables.into_iter().filter_map(|(name, value)| secret_part(name, value));
        let mut values: Vec<String> = secrets.flat_map(|value| forms(&value)).collect();
        values.sort();
        values.dedup();
        Self(values)
    }

    /// A sentence without them, and without the credentials in addresses.
    pub fn masked(&self, text: &str) -> String {
        replaced(text, &self.secrets(text, false))
    }

    /// As [`masked`](Self::masked), for values and lines of files: also without what is written
    /// after a name that tells of a secret.
    pub fn masked_source(&self, text: &str) -> String {
        replaced(text, &self.secrets(text, true))
    }

    /// Masks every text in a document.
    pub fn mask(&self, document: &mut Value) {
        match document {
            Value::String(text) => *text = self.masked_source(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(item)),
            Value::Object(entries) => entries.values_mut().for_each(|item| self.mask(item)),
            _ => {}
        }
    }

    /// The bytes of a text that must not be shown, in order and apart from each other.
    pub(super) fn secrets(&self, text: &str, by_name: bool) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for secret in &self.0 {
            found.extend(text.match_indices(secret.as_str()).map(|(at, _)| at..at + secret.len()));
        }
        found.extend(text.match_indices("://").filter_map(|(at, _)| credentials(text, at)));
        if by_name {
            found.extend(text.match_indices(['=', ':', ' ']).filter_map(|(at, _)| named(text, at)));
        }
        found.retain(|range| !range.is_empty() && &text[range.clone()] != MASK);
        found.sort_by_key(|range| range.start);
        let mut apart: Vec<Range<usize>> = Vec::new();
        for range in found {
            match apart.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        apart
    }
}

fn replaced(text: &str, secrets: &[Range<usize>]) -> String {
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    for secret in secrets {
        out.push_str(&text[done..secret.start]);
        out.push_str(MASK);
        done = secret.end;
    }
    out.push_str(&text[done..]);
    out
}

/// The password of `scheme://user:password@host`; in web addresses a user alone is a token.
fn credentials(text: &str, at: usize) -> Option<Range<usize>> {
    let start = at + 3;
    let rest = &text[start..];
    let authority = &rest[..rest.find(['/', '?', '#', ' ', '\n', '"', '\'']).unwrap_or(rest.len())];
    let user = &authority[..authority.rfind('@')?];
    match user.find(':') {
        Some(colon) => Some(start + colon + 1..start + user.len()),
        None if text[..at].ends_with("http") || text[..at].ends_with("https") => Some(start..start + user.len()),
        None => None,
    }
}

/// What is written after a name that tells of a secret: `NAME=value`, `NAME: value`, `--name value`.
fn named(text: &str, at: usize) -> Option<Range<usize>> {
    let before = text[..at].trim_end_matches(['"', '\'']);
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let start = before.char_indices().rev().find(|(_, c)| !part(*c)).map_or(0, |(i, c)| i + c.len_utf8());
    let name = before[start..].trim_start_matches('-');
    let after = &text[at + 1..];
    let flag = before[start..].starts_with("--");
    // `secrets:` is a key of jobs.
    if !is_secret_name(&name.replace('-', "_")) || name == "secrets" {
        return None;
    }
    let end = match text.as_bytes()[at] {
        b' ' if !flag || after.starts_with('-') => return None,
        b':' if !(after.is_empty() || after.starts_with([' ', '\n', '\r'])) => return None,
        // A scalar on its own: the rest of the line, or all that follows where it goes on below.
        b':' => line_end(after),
        b'=' if text[..start].rsplit('\n').next().is_some_and(|l| l.trim_matches([' ', '-', '"', '\'']).is_empty()) => {
            line_end(after).max(word_end(after))
        }
        _ => word_end(after),
    };
    let blanks = after[..end].len() - after[..end].trim_start().len();
    Some(at + 1 + blanks..at + 1 + end.max(blanks))
}

/// Where a value on its own ends: with its line, unless it is a text of several lines.
fn line_end(text: &str) -> usize {
    let end = text.find('\n').unwrap_or(text.len());
    match text[..end].trim_start().chars().next() {
        None | Some('|' | '>') => text.len(),
        Some('"' | '\'') => end.max(word_end(text)),
        Some(_) => end,
    }
}

/// Where a word ends as a shell sees it; an open quote goes on to the end.
pub(super) fn word_end(text: &str) -> usize {
    let mut quote = None;
    let mut letters = text.char_indices().skip_while(|(_, c)| *c == ' ');
    while let Some((at, c)) = letters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                letters.next();
            }
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

/// What of a variable's value is a secret.
fn secret_part(name: &str, value: &str) -> Option<String> {
    if is_secret_name(name) {
        return Some(value.to_owned());
    }
    let setting = Setting::find(name).filter(|setting| setting.secret)?;
    // Of an address that is shown without its credentials these alone.
    if setting.shown(value) == MASK {
        return Some(value.to_owned());
    }
    let (before, _) = value.rsplit_once('@')?;
    Some(before.split_once("://").map_or(before, |(_, credentials)| credentials).to_owned())
}

/// A secret as it may come to stand in a text: whole, a line of it, each with or without escapes.
fn forms(value: &str) -> Vec<String> {
    let mut forms: Vec<String> = Vec::new();
    for part in value.lines().map(str::trim).chain([value]).filter(|part| part.len() >= SHORTEST) {
        let quoted = format!("{part:?}");
        forms.extend([part.to_owned(), quoted[1..quoted.len() - 1].to_owned()]);
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masking() -> Masking {
        Masking::of([
            ("DB_PASSWORD", "hunter2"),
            ("API_TOKEN", "hunter2-long"),
            ("PIN_SECRET", "1"),
            ("URL", "plain!"),
            ("SSL_KEY", "begin key\nc2VjcmV0\nend key"),
        ])
    }

    #[test]
    fn secrets_inside_of_values() {
        for (text, expected) in [
            ("x://me:hunter2@h?t=hunter2-long&1 plain!", "x://me:***@h?t=***&1 plain!"),
            ("c2VjcmV0", "***"),
            (
                "smtp://u:p:w@mail:25/x ssh://git@h/a http://tok@h http://h/a@b",
                "smtp://u:***@mail:25/x ssh://git@h/a http://***@h http://h/a@b",
            ),
            ("DB_PASSWORD: is missing", "DB_PASSWORD: is missing"),
            ("***", "***"),
        ] {
            assert_eq!(masking().masked(text), expected);
        }
    }

    #[test]
    fn what_stands_after_the_name_of_a_secret() {
        for (text, expected) in [
            ("export MY_PASSWORD=ab MORE=x", "export MY_PASSWORD=*** MORE=x"),
            ("export MY_PASSWORD=\"a b\"'c d' MORE=x", "export MY_PASSWORD=*** MORE=x"),
            ("export MY_PASSWORD=a\\ b MORE=x", "export MY_PASSWORD=*** MORE=x"),
            ("export MY_PASSWORD='a b", "export MY_PASSWORD=***"),
            ("MY_PASSWORD=a b", "MY_PASSWORD=***"),
            ("  - MY_PASSWORD=a b", "  - MY_PASSWORD=***"),
            ("  MY_PASSWORD: a b\nx: 1", "  MY_PASSWORD: ***\nx: 1"),
            ("  \"MY_PASSWORD\": a b", "  \"MY_PASSWORD\": ***"),
            ("  MY_PASSWORD: |\n    a b", "  MY_PASSWORD: ***"),
            ("{MY_PASSWORD: a, B: c}", "{MY_PASSWORD: ***"),
            ("tool --password ab --api-key=cd --token --x", "tool --password *** --api-key=*** --token --x"),
            ("secrets: [a]", "secrets: [a]"),
            ("KEY_DIR=/a b: c", "KEY_DIR=/a b: c"),
            ("MY_PASSWORD=***", "MY_PASSWORD=***"),
        ] {
            assert_eq!(masking().masked_source(text), expected, "{text}");
        }
    }

    #[test]
    fn parts_of_a_secret_and_what_quotes_make_of_it() {
        let masking = Masking::of([("TLS_KEY", "BEGIN \"key\"\n  0123456\nx\n")]);
        for text in ["BEGIN \"key\"\n  0123456\nx\n", "no such file: BEGIN \"key\"", "at 0123456"] {
            for shown in [text.to_owned(), format!("{text:?}")] {
                let masked = masking.masked(&shown);
                assert!(!masked.contains("key") && !masked.contains("0123"), "{masked}");
            }
        }
    }
}
