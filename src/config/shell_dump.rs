//! What a shell prints about its variables, read back.

use std::collections::{BTreeMap, BTreeSet};

use super::words::is_name;

/// All variables of a shell; values are bytes, as in the kernel.
pub type Variables = BTreeMap<String, Vec<u8>>;

/// What `set` and `export -p` told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Every variable that is somebody's setting, exported or not.
    pub variables: Variables,
    /// The names of those that programs see.
    pub exported: BTreeSet<String>,
}

impl Dump {
    /// From the output of both.
    pub fn new(set: &[u8], export: &[u8]) -> Self {
        let exported = pairs(export).into_iter().map(|(name, _)| name).collect();
        let values = pairs(set).into_iter().filter_map(|(name, value)| Some((name, value?)));
        Self { variables: values.filter(|(name, _)| !is_of_the_shell(name)).collect(), exported }
    }
}

/// Whether a shell keeps a variable of this name for its own work, so that it is nobody's setting.
pub fn is_of_the_shell(name: &str) -> bool {
    const OWN: &[&str] = &[
        "_",
        "__tender_at",
        "DIRSTACK",
        "ENV",
        "FUNCNEST",
        "FUNCNAME",
        "IFS",
        "LINENO",
        "OLDPWD",
        "OPTARG",
        "OPTERR",
        "OPTIND",
        "PIPESTATUS",
        "POSIXLY_CORRECT",
        "PPID",
        "PS1",
        "PS2",
        "PS3",
        "PS4",
        "PWD",
        "RANDOM",
        "SECONDS",
        "SHELLOPTS",
        "SHLVL",
        "SRANDOM",
    ];
    OWN.contains(&name) || name == "BASH" || name == "BASHOPTS" || name.starts_with("BASH_")
}

/// The pairs of lines `NAME=value`, whose values are quoted as shells quote them, with or without
/// `export` before the name. Arrays and names without a value have none.
fn pairs(text: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        for lead in [b"export ".as_slice(), b"declare -x "] {
            rest = rest.strip_prefix(lead).unwrap_or(rest);
        }
        let end = rest.iter().position(|b| matches!(b, b'=' | b'\n')).unwrap_or(rest.len());
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        let has_value = rest.get(end) == Some(&b'=');
        let mut value = Quoted { rest: &rest[(end + usize::from(has_value)).min(rest.len())..] };
        let value_read = value.read();
        rest = value.rest;
        if is_name(&name) {
            pairs.push((name, value_read.filter(|_| has_value)));
        }
    }
    pairs
}

struct Quoted<'a> {
    rest: &'a [u8],
}

impl Quoted<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// A value up to the end of its line; none of an array.
    fn read(&mut self) -> Option<Vec<u8>> {
        let array = self.rest.first() == Some(&b'(');
        let mut value = Vec::new();
        while let Some(byte) = self.next() {
            match byte {
                b'\n' => break,
                b'\'' => self.until(b'\'', false, &mut value),
                b'"' => self.until(b'"', true, &mut value),
                b'$' if self.rest.first() == Some(&b'\'') => {
                    self.next();
                    self.until(b'\'', true, &mut value);
                }
                b'\\' => value.extend(self.next()),
                byte => value.push(byte),
            }
        }
        (!array).then_some(value)
    }

    fn until(&mut self, quote: u8, escapes: bool, value: &mut Vec<u8>) {
        while let Some(byte) = self.next() {
            match byte {
                byte if byte == quote => return,
                b'\\' if escapes => value.extend(self.next()),
                byte => value.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_shells_quote_them() {
        // bash, then dash and ash.
        for text in [
            b"A='x\n\\y'\nB='it'\\''s'\nC=plain\nD=([0]=\"a\nb\" [1]=$'\\'\n')\nE=\nF=\\'\n".as_slice(),
            b"A='x\n\\y'\nB='it'\"'\"'s'\nC='plain'\nE=''\nF=\"'\"\nIFS=' \t\n'\n",
        ] {
            let dump = Dump::new(text, b"export A=\"x\n\\$\"\nexport NONE\nexport C='p'\n");
            let shown: Vec<(&str, &[u8])> = dump.variables.iter().map(|(k, v)| (k.as_str(), v.as_slice())).collect();
            let expected: [(&str, &[u8]); 5] =
                [("A", b"x\n\\y"), ("B", b"it's"), ("C", b"plain"), ("E", b""), ("F", b"'")];
            assert_eq!(shown, expected);
            assert_eq!(dump.exported.into_iter().collect::<Vec<_>>(), ["A", "C", "NONE"]);
        }
    }
}
