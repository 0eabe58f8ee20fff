//! The line that gave a variable its value, best effort.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Problem;
use super::assignments::{Assignment, Outline};
use super::conf_dir::absolute;
use super::excerpt::Excerpt;
use super::expand::{self, Lookup};
use super::probe::Written;
use super::shell::SourcedAt;
use crate::secret::{MASK, is_secret_name};

/// Longer lines are cut.
const TEXT_LIMIT: usize = 200;

/// A larger file is nobody's list of settings.
const FILE_LIMIT: u64 = 4 << 20;

/// The texts of the shell files that were read. They hold secrets and are never given away.
#[derive(Default)]
pub struct ShellFiles(BTreeMap<PathBuf, Option<ShellFile>>);

struct ShellFile {
    text: String,
    outline: Outline,
    /// Where each line begins.
    lines: Vec<usize>,
    /// The values of secrets, from and to, in order.
    secrets: Vec<(usize, usize)>,
}

impl ShellFile {
    fn new(text: String) -> Self {
        let outline = Outline::of(&text);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let secrets = outline.assignments.iter().filter(|a| is_secret_name(&a.name)).map(|a| a.value).collect();
        Self { text, outline, lines, secrets }
    }

    /// The number of the line of a place, from 1.
    fn line_of(&self, at: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= at)
    }

    /// A line without the values of secrets, those included that only end in it.
    fn masked(&self, begin: usize, end: usize) -> String {
        let (mut out, mut at) = (String::new(), begin);
        for &(from, to) in &self.secrets {
            let (from, to) = (from.max(at), to.min(end));
            if from < to {
                out.push_str(&self.text[at..from]);
                out.push_str(MASK);
                at = to;
            }
        }
        out.push_str(&self.text[at..end]);
        out.trim_end().chars().take(TEXT_LIMIT).collect()
    }
}

/// A file and the files that it reads, as the shell went through them.
pub struct Way<'a> {
    files: &'a ShellFiles,
    assignments: BTreeMap<&'a str, Vec<(&'a Path, &'a Assignment)>>,
    count: usize,
}

impl ShellFiles {
    /// The line of one entry of the list that a variable was set to.
    pub fn entry(&self, name: &str, written: &Written, entry: &str) -> Option<Excerpt> {
        let file = self.0.get(&written.file)?.as_ref()?;
        let is_it = |a: &&Assignment| a.name == name && file.line_of(a.at) == written.line;
        let (from, to) = file.outline.assignments.iter().find(is_it)?.value;
        let alone = |at: usize| {
            let before = file.text[..at].chars().next_back();
            let after = file.text[at + entry.len()..].chars().next();
            let borders = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || c == '"' || c == '\'');
            borders(before) && borders(after)
        };
        let mut places = file.text.get(from..to)?.match_indices(entry).map(|(at, _)| from + at);
        let at = places.find(|at| alone(*at))?;
        Excerpt::of(&file.text, at..at + entry.len())
    }

    /// Looks at a file, once.
    pub fn look(&mut self, file: &Path) {
        if self.0.contains_key(file) {
            return;
        }
        let small = fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.len() <= FILE_LIMIT);
        let text = small.then(|| fs::read(file).ok()).flatten().map(|text| String::from_utf8_lossy(&text).into_owned());
        self.0.insert(file.to_owned(), text.map(ShellFile::new));
    }

    /// The text of a file that was looked at.
    pub fn text(&self, file: &Path) -> Option<&str> {
        self.0.get(file)?.as_ref().map(|file| file.text.as_str())
    }

    /// The files that `file` seems to read, and those that they seem to read: for shells that do not
    /// tell, and for files without any command.
    pub fn sourced_by(&mut self, file: &Path, dir: &Path, lookup: Lookup<'_>) -> Vec<SourcedAt> {
        let mut found: Vec<SourcedAt> = Vec::new();
        let mut next = vec![file.to_owned()];
        while let Some(by) = next.pop() {
            self.look(&by);
            let Some(Some(shell_file)) = self.0.get(&by) else { continue };
            for (at, word) in &shell_file.outline.sources {
                let (path, unknown) = expand::plain(&word.replace(['"', '\''], ""), lookup);
                let file = absolute(dir, &path);
                let sourced = SourcedAt { file, by: by.clone(), line: shell_file.line_of(*at) };
                if unknown.is_empty() && path.contains('/') && sourced.file.is_file() && !found.contains(&sourced) {
                    next.push(sourced.file.clone());
                    found.push(sourced);
                }
            }
        }
        found
    }

    /// What a step went through that began with `file`.
    pub fn way<'a>(&'a self, file: &'a Path, sourced: &'a [SourcedAt]) -> Way<'a> {
        let mut way = Way { files: self, assignments: BTreeMap::new(), count: 0 };
        way.through(file, sourced, 0);
        way
    }
}

impl<'a> Way<'a> {
    fn through(&mut self, file: &'a Path, sourced: &'a [SourcedAt], depth: usize) {
        let Some(Some(shell_file)) = self.files.0.get(file) else { return };
        let mut inner: Vec<&SourcedAt> = sourced.iter().filter(|s| s.by == file && s.file != file).collect();
        inner.sort_by_key(|s| s.line);
        inner.dedup();
        let mut inner = inner.into_iter().peekable();
        for assignment in &shell_file.outline.assignments {
            let here = shell_file.line_of(assignment.at);
            while let Some(read) = inner.next_if(|s| s.line < here) {
                self.below(read, sourced, depth);
            }
            self.assignments.entry(&assignment.name).or_default().push((file, assignment));
            self.count += 1;
        }
        for read in inner {
            self.below(read, sourced, depth);
        }
    }

    fn below(&mut self, read: &'a SourcedAt, sourced: &'a [SourcedAt], depth: usize) {
        // Files that read each other have no first one.
        if depth < 8 && self.count < 1_000_000 {
            self.through(&read.file, sourced, depth + 1);
        }
    }

    /// The last assignment of `name` that can have given this value.
    pub fn find(&self, name: &str, value: &[u8]) -> Option<Written> {
        let fits = |a: &Assignment| a.literal.as_ref().is_none_or(|literal| literal.as_bytes() == value);
        let (file, assignment) = self.assignments.get(name)?.iter().rev().find(|(_, a)| fits(a))?;
        let shell_file = self.files.0.get(*file)?.as_ref()?;
        let line = shell_file.line_of(assignment.at);
        let begin = shell_file.lines[line - 1];
        let end = shell_file.lines.get(line).map_or(shell_file.text.len(), |next| next - 1);
        Some(Written {
            file: (*file).to_owned(),
            line,
            column: shell_file.text[begin..assignment.at].chars().count() + 1,
            text: shell_file.masked(begin, end),
        })
    }
}

/// What a text editor of another system leaves in a file.
pub fn form(file: &Path, text: &str) -> Option<Problem> {
    let origin = file.display().to_string();
    if text.starts_with('\u{feff}') {
        return Some(
            Problem::warning(format!("{origin}:1"), "begins with a byte order mark, which spoils its first line")
                .hint("save it as UTF-8 without one"),
        );
    }
    let line = 1 + text[..text.find("\r\n")?].matches('\n').count();
    Some(
        Problem::warning(format!("{origin}:{line}"), "has Windows line ends, which become a part of the values")
            .hint(format!("take them out: `sed -i 's/\\r$//' {origin}`")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_that_fits() {
        let dir = tempfile::tempdir().unwrap();
        let (main, more) = (dir.path().join("env.local"), dir.path().join("more.env"));
        let text = "A=1\nB=1\n. ./more.env\n  export B=3 DB_PASSWORD='x\nyz' C=$B # ä\nB=no";
        fs::write(&main, text).unwrap();
        fs::write(&more, "\nA=2; B=2\n").unwrap();
        let mut files = ShellFiles::default();
        let sourced = files.sourced_by(&main, dir.path(), &|_| None);
        assert_eq!(sourced, [SourcedAt { file: more.clone(), by: main.clone(), line: 3 }]);
        files.look(&more);
        let way = files.way(&main, &sourced);
        let place = |name: &str, value: &str| {
            way.find(name, value.as_bytes()).map(|w| (w.file == more, w.line, w.column, w.text))
        };
        assert_eq!(place("A", "2"), Some((true, 2, 1, "A=2; B=2".into())));
        assert_eq!(place("A", "1"), Some((false, 1, 1, "A=1".into())));
        assert_eq!(place("B", "3"), Some((false, 4, 10, "  export B=3 DB_PASSWORD=***".into())));
        assert_eq!(place("DB_PASSWORD", "x\nyz").unwrap().3, "  export B=3 DB_PASSWORD=***");
        assert_eq!(place("C", "3"), Some((false, 5, 5, "*** C=$B # ä".into())));
        assert_eq!(place("A", "9"), None);
    }
}
