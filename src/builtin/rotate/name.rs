//! Names of logs, archives and temporary files. Names are bytes: none is ever given to a shell or
//! assumed to be text.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use chrono::{Datelike, NaiveDate};

/// Endings of archives; the first is what is written.
const PACKED: [&str; 2] = [".gz", ".zst"];

/// The part of an archive's name that tells it from the others of the same log. Ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Day of the rotation.
    pub date: NaiveDate,
    /// 0 for the first of a day, which shows no number.
    pub number: u32,
}

impl Stamp {
    /// The stamp of an archive of `log`, `None` for every other name.
    pub fn of(log: &OsStr, name: &OsStr) -> Option<Self> {
        let rest = name.as_bytes().strip_prefix(log.as_bytes())?.strip_prefix(b"-")?;
        let rest = std::str::from_utf8(rest).ok()?;
        Self::parse(PACKED.iter().find_map(|end| rest.strip_suffix(end))?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (date, number) = match text.split_once('-') {
            Some((date, number)) if !number.starts_with('0') => (date, digits(number)?),
            Some(_) => return None,
            None => (text, 0),
        };
        if date.len() != 8 {
            return None;
        }
        let all = digits(date)?;
        let date = NaiveDate::from_ymd_opt((all / 10_000) as i32, all / 100 % 100, all % 100)?;
        Some(Self { date, number })
    }

    /// The stamp that comes after all that `log` has for this day: numbers are never used again,
    /// so that the order of names is the order of time.
    pub fn next<'a>(log: &OsStr, date: NaiveDate, names: impl IntoIterator<Item = &'a OsString>) -> Self {
        let used = names.into_iter().filter_map(|name| Self::of(log, name)).filter(|stamp| stamp.date == date);
        Self { date, number: used.map(|stamp| stamp.number + 1).max().unwrap_or(0) }
    }

    /// The name of the archive.
    pub fn name(self, log: &OsStr) -> OsString {
        let mut name = log.to_owned();
        let date = self.date;
        name.push(format!("-{:04}{:02}{:02}", date.year(), date.month(), date.day()));
        if self.number > 0 {
            name.push(format!("-{}", self.number));
        }
        name.push(PACKED[0]);
        name
    }
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Under which name an archive is written until it is whole.
pub fn temporary(archive: &OsStr) -> OsString {
    let mut name = OsString::from(".");
    name.push(archive);
    name.push(".tmp");
    name
}

/// Whether this is the temporary file of some archive.
pub fn is_temporary(name: &OsStr) -> bool {
    let inner = name.as_bytes().strip_prefix(b".").and_then(|n| n.strip_suffix(b".tmp"));
    inner.is_some_and(|n| is_archive(OsStr::from_bytes(n)))
}

/// Whether this looks like an archive of whatever log.
fn is_archive(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    let dashes = bytes.iter().enumerate().filter(|(_, b)| **b == b'-').map(|(at, _)| at);
    dashes.into_iter().any(|at| Stamp::of(OsStr::from_bytes(&bytes[..at]), name).is_some())
}

/// Whether a name can be that of a log at all, whatever a pattern says: archives and the notes of
/// our own writer are none.
pub fn can_be_log(name: &OsStr) -> bool {
    !is_archive(name) && !name.as_bytes().ends_with(b".pos") && !name.as_bytes().ends_with(b".pos.new")
}

/// The archives that are too many, oldest first. `fresh` stays whatever its date is: after a clock
/// was set back the newest archive may have the oldest name.
pub fn expired<'a>(
    log: &OsStr,
    names: impl IntoIterator<Item = &'a OsString>,
    keep: usize,
    fresh: &OsStr,
) -> Vec<OsString> {
    let mut found: Vec<(Stamp, &OsString)> =
        names.into_iter().filter_map(|name| Some((Stamp::of(log, name)?, name))).collect();
    found.sort();
    let surplus = found.len().saturating_sub(keep);
    found.into_iter().map(|(_, name)| name).filter(|name| *name != fresh).take(surplus).cloned().collect()
}

/// Whether a name fits a pattern with `*`, `?`, `[a-z]` and `[!a-z]`. As in a shell, a leading dot
/// must be written out.
pub fn fits(pattern: &OsStr, name: &OsStr) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    (name.first() != Some(&b'.') || pattern.first() == Some(&b'.')) && glob(pattern, name)
}

fn glob(mut pattern: &[u8], mut name: &[u8]) -> bool {
    // The last star seen, and what followed in the name when it took nothing.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match (pattern.split_first(), name.split_first()) {
            (Some((b'*', rest)), _) => {
                star = Some((rest, name));
                pattern = rest;
                continue;
            }
            (None, None) => return true,
            (Some((b'?', rest)), Some(_)) => Some(rest),
            (Some((b'[', rest)), Some((byte, _))) => match class(rest, *byte) {
                Some((true, rest)) => Some(rest),
                Some((false, _)) => None,
                None => (*byte == b'[').then_some(rest),
            },
            (Some((wanted, rest)), Some((byte, _))) => (wanted == byte).then_some(rest),
            _ => None,
        };
        match (step, star) {
            (Some(rest), _) => (pattern, name) = (rest, &name[1..]),
            (None, Some((rest, [_, after @ ..]))) => {
                star = Some((rest, after));
                (pattern, name) = (rest, after);
            }
            (None, _) => return false,
        }
    }
}

/// Whether a byte is in the class that begins here, and what follows the class; `None` without an end.
fn class(text: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, text) = match text.split_first() {
        Some((b'!' | b'^', rest)) => (true, rest),
        _ => (false, text),
    };
    let end = 1 + text.get(1..)?.iter().position(|b| *b == b']')?;
    let (mut members, mut within) = (&text[..end], false);
    while let Some((first, rest)) = members.split_first() {
        (within, members) = match rest {
            [b'-', last, rest @ ..] => (within || (*first..=*last).contains(&byte), rest),
            _ => (within || *first == byte, rest),
        };
    }
    Some((within != negated, &text[end + 1..]))
}

/// A name as people see it: one line, whatever bytes it has.
pub fn shown(name: &OsStr) -> String {
    let text = name.to_string_lossy();
    if text.chars().any(char::is_control) { text.escape_debug().to_string() } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<OsString> {
        texts.iter().map(OsString::from).collect()
    }

    #[test]
    fn patterns() {
        for (pattern, name, wanted) in [
            ("*.log", "a.log", true),
            ("*.log", ".log", false),
            ("*.log", ".a.log", false),
            (".*", ".a.log", true),
            ("*.log", "a.log.log", true),
            ("*.log", "a.logs", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x[!0-9]", "bxa", true),
            ("[a-c]x[!0-9]", "bx1", false),
            ("[a-c", "[a-c", true),
            ("[]]", "]", true),
            ("**", "x\ny", true),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern.as_ref(), name.as_ref()), wanted, "{pattern} {name:?}");
        }
    }

    #[test]
    fn stamps_are_read_back_and_other_names_are_not() {
        let log = OsStr::new("a.log");
        for name in ["a.log-20260329.gz", "a.log-20260329-1.gz", "a.log-20260329-12.gz"] {
            assert_eq!(Stamp::of(log, name.as_ref()).unwrap().name(log), *name);
        }
        for name in [
            "a.log",
            "a.log-20260329",
            "a.log-20261329.gz",
            "a.log-2026032.gz",
            "a.log-20260329.gz.tmp",
            ".a.log-20260329.gz.tmp",
            "b.log-20260329.gz",
            "a.log-20260329-0.gz",
            "a.log-20260329-x.gz",
            "a.log-20260329-99999999999.gz",
            "a.log-old-20260329.gz",
            "a.log-+2026329.gz",
        ] {
            assert_eq!(Stamp::of(log, name.as_ref()), None, "{name}");
        }
    }

    #[test]
    fn numbers_go_on_where_the_day_stands() {
        let log = OsStr::new("a.log");
        let date = NaiveDate::from_ymd_opt(2026, 3, 29).unwrap();
        for (there, wanted) in [
            (&[][..], "a.log-20260329.gz"),
            (&["a.log-20260328.gz"], "a.log-20260329.gz"),
            (&["a.log-20260329.gz"], "a.log-20260329-1.gz"),
            (&["a.log-20260329-9.gz", "a.log-20260329-10.gz"], "a.log-20260329-11.gz"),
        ] {
            assert_eq!(Stamp::next(log, date, &names(there)).name(log), *wanted);
        }
    }

    #[test]
    fn the_oldest_names_go_first_and_the_fresh_one_stays() {
        let log = OsStr::new("a.log");
        let all = names(&[
            "a.log-20260329-10.gz",
            "a.log-20260329-9.gz",
            "a.log-20260329.gz",
            "a.log-20260101.zst",
            "a.log",
            "a.log-20250101",
            "b.log-20250101.gz",
            "a.log-20260501.gz",
        ]);
        assert_eq!(expired(log, &all, 5, "x".as_ref()), names(&[]));
        assert_eq!(expired(log, &all, 3, "x".as_ref()), names(&["a.log-20260101.zst", "a.log-20260329.gz"]));
        let fresh = OsStr::new("a.log-20260101.zst");
        assert_eq!(expired(log, &all, 4, fresh), names(&["a.log-20260329.gz"]));
        assert_eq!(expired(log, &all, 1, "a.log-20260501.gz".as_ref()).len(), 4);
    }

    #[test]
    fn archives_notes_and_temporaries_are_no_logs() {
        for (name, wanted) in [
            ("a.log", true),
            ("my-20260101.log", true),
            ("a-b.log-20260101.gz", false),
            ("a.log-20260101-3.gz", false),
            ("a.log.pos", false),
        ] {
            assert_eq!(can_be_log(name.as_ref()), wanted, "{name}");
        }
        assert!(is_temporary(&temporary("a-b.log-20260101.gz".as_ref())));
        assert!(!is_temporary(".a.log.tmp".as_ref()));
        assert_eq!(shown("a\nb".as_ref()), "a\\nb");
    }
}
