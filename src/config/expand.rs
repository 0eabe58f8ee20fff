//! `$NAME` and `${NAME}` in texts, without a shell.

use std::collections::BTreeSet;

use super::words::{is_name, quote};

/// Looks up a variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A reference found in a text.
pub struct Reference<'a> {
    /// The variable.
    pub name: &'a str,
    /// What to use where the variable is not set (`${X-…}`) or also where it is empty (`${X:-…}`).
    default: Option<(&'a str, bool)>,
    /// Bytes of the reference, the `$` included.
    pub length: usize,
}

/// Reads a reference at the start of a text that begins with `$`.
pub fn reference(text: &str) -> Option<Reference<'_>> {
    let rest = &text[1..];
    if let Some(inner) = rest.strip_prefix('{') {
        let end = closing(inner)?;
        let inner = &inner[..end];
        let length = end + 3;
        if is_name(inner) {
            return Some(Reference { name: inner, default: None, length });
        }
        let at = inner.find('-')?;
        let (name, also_empty) = match inner[..at].strip_suffix(':') {
            Some(name) => (name, true),
            None => (&inner[..at], false),
        };
        return is_name(name).then_some(Reference { name, default: Some((&inner[at + 1..], also_empty)), length });
    }
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    is_name(&rest[..end]).then(|| Reference { name: &rest[..end], default: None, length: end + 1 })
}

fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(i),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn value(reference: &Reference<'_>, lookup: Lookup<'_>) -> Option<String> {
    match (lookup(reference.name), reference.default) {
        (Some(value), Some((default, true))) if value.is_empty() => Some(plain(default, lookup).0),
        (Some(value), _) => Some(value),
        (None, Some((default, _))) => Some(plain(default, lookup).0),
        (None, None) => None,
    }
}

/// Replaces every reference to a known variable; also tells the names that are not known.
pub fn plain(text: &str, lookup: Lookup<'_>) -> (String, BTreeSet<String>) {
    replaced(text, lookup, true)
}

/// As [`plain`], but `${NAME}` only: where a bare `$` is more likely a part of the value.
pub fn braced(text: &str, lookup: Lookup<'_>) -> (String, BTreeSet<String>) {
    replaced(text, lookup, false)
}

fn replaced(text: &str, lookup: Lookup<'_>, bare: bool) -> (String, BTreeSet<String>) {
    let (mut out, mut unknown) = (String::with_capacity(text.len()), BTreeSet::new());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match reference(rest).filter(|_| bare || rest.starts_with("${")) {
            Some(found) => {
                match value(&found, lookup) {
                    Some(value) => out.push_str(&value),
                    None => {
                        unknown.insert(found.name.to_owned());
                        out.push_str(&rest[..found.length]);
                    }
                }
                rest = &rest[found.length..];
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    (out, unknown)
}

/// As [`plain`], in a text that a shell would read: nothing inside single quotes or after a
/// backslash is replaced, and a value never becomes syntax. Outside quotes it is split at blanks.
pub fn shell_text(text: &str, lookup: Lookup<'_>) -> (String, BTreeSet<String>) {
    let (mut out, mut unknown) = (String::with_capacity(text.len()), BTreeSet::new());
    let (mut single, mut double) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '\\' if !single => taken += rest[1..].chars().next().map_or(0, char::len_utf8),
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '$' if !single => {
                if let Some(found) = reference(rest) {
                    taken = found.length;
                    if let Some(value) = value(&found, lookup) {
                        if double {
                            out.extend(
                                value
                                    .chars()
                                    .flat_map(|c| ['\\'].into_iter().filter(move |_| "$`\"\\".contains(c)).chain([c])),
                            );
                        } else {
                            let words: Vec<String> = value.split_ascii_whitespace().map(quote).collect();
                            out.push_str(&words.join(" "));
                        }
                        rest = &rest[taken..];
                        continue;
                    }
                    unknown.insert(found.name.to_owned());
                }
            }
            _ => {}
        }
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    (out, unknown)
}

/// The names of all variables that a text refers to.
pub fn names(text: &str) -> BTreeSet<String> {
    plain(text, &|_| None).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(name: &str) -> Option<String> {
        match name {
            "A" => Some("a b".to_owned()),
            "Q" => Some("x\";rm".to_owned()),
            "E" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn plain_references() {
        for (text, expected) in [
            ("$A/${A}", "a b/a b"),
            ("${E:-d}|${E-d}|${N-d}|${N:-${A}}", "d||d|a b"),
            ("$N ${N} $ ${} $1 $$", "$N ${N} $ ${} $1 $$"),
            ("é$A", "éa b"),
        ] {
            assert_eq!(plain(text, &look).0, expected, "{text}");
        }
        assert_eq!(braced("$A ${A} $N", &look), ("$A a b $N".to_owned(), BTreeSet::new()));
        assert_eq!(plain("$N ${M}", &look).1, ["M", "N"].map(str::to_owned).into());
    }

    #[test]
    fn values_never_become_syntax() {
        for (text, expected) in [
            ("$A '$A' \\$A", "a b '$A' \\$A"),
            ("\"$A $Q\"", "\"a b x\\\";rm\""),
            ("$Q", "'x\";rm'"),
            ("'it''s' $N", "'it''s' $N"),
        ] {
            assert_eq!(shell_text(text, &look).0, expected, "{text}");
        }
    }
}
