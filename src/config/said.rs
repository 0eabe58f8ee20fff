//! One line that a shell says on standard error, taken apart.

use std::path::{Path, PathBuf};

use super::words::is_name;

/// A line of a shell's complaints.
pub struct Said {
    /// The file that it complains about.
    pub file: PathBuf,
    /// The line in that, from 1.
    pub line: Option<u32>,
    /// The complaint.
    pub text: String,
    /// It names the file itself.
    pub named: bool,
}

impl Said {
    /// Takes `line` apart, which was said while `file` was read and those that are `known` by it.
    ///
    /// bash says `FILE: line 3: TEXT`, dash `SHELL: 3: FILE: TEXT`, ash `SHELL: FILE: line 3: TEXT`;
    /// builtins put their name before the text, dash and ash instead of the file.
    pub fn new(line: &str, file: &Path, known: &[PathBuf]) -> Self {
        const BUILTINS: &[&str] = &[".", "source", "eval", "export", "readonly", "set", "unset", "shift", "cd"];
        let mut said = Self { file: file.to_owned(), line: None, text: String::new(), named: false };
        let (mut by_bash, mut builtin) = (false, false);
        let mut parts = line.split(": ").peekable();
        while let Some(part) = parts.peek() {
            let number = part.strip_prefix("line ").unwrap_or(part).parse().ok();
            let path = Path::new(part.strip_prefix("./").unwrap_or(part));
            if said.line.is_none() && number.is_some() {
                said.line = number;
                by_bash = part.starts_with("line ");
            } else if let Some(found) = known.iter().find(|k| !part.is_empty() && k.ends_with(path)) {
                said.file.clone_from(found);
                said.named = true;
            } else if BUILTINS.contains(part) {
                builtin = true;
            } else if !is_shell(part) {
                break;
            }
            parts.next();
        }
        // With its own name before the line, bash means what it was told to do with the file.
        if by_bash && !said.named && !builtin {
            said.line = None;
        }
        said.text = parts.collect::<Vec<_>>().join(": ");
        said
    }

    /// `file:line`, or the file alone.
    pub fn origin(&self) -> String {
        let file = self.file.display();
        self.line.map_or_else(|| file.to_string(), |line| format!("{file}:{line}"))
    }

    /// The path that it names: only what begins like one, as anything else may be a piece of a value.
    pub fn path(&self) -> Option<&str> {
        let mut words = self.text.split([' ', '\'', '"', ':', '`']);
        words.rfind(|word| ["/", "./", "../"].iter().any(|lead| word.starts_with(lead)))
    }

    /// The variable that it begins with.
    pub fn name(&self) -> Option<String> {
        let name = self.text.split(": ").next().filter(|name| self.text.contains(": ") && is_name(name))?;
        Some(name.to_owned())
    }
}

/// What a shell calls itself: the pipe that it reads, or its own name.
fn is_shell(part: &str) -> bool {
    part == "sh" || (part.starts_with("/proc/") && part.contains("/fd/"))
}
