//! The lines that a mistake stands in, with the mistake marked.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Place;
use super::masking::{Masking, word_end};
use super::probe::Written;
use crate::secret::{MASK, is_secret_name};

/// So many lines of a marked text are shown at most.
const LINES: usize = 6;

/// A line longer than this is shown around its mark only.
const LONGEST: usize = 2000;

/// Whole lines of a text and the marked part of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// Number of the first line, from 1.
    pub line: u64,
    /// The lines, without the end of the last one.
    pub text: String,
    /// The marked bytes of the text, on the borders of characters.
    pub mark: Range<usize>,
}

impl Excerpt {
    /// The lines around some bytes of a text; nothing where the text has no such bytes.
    pub fn of(source: &str, mark: Range<usize>) -> Option<Self> {
        let marked = source.get(mark.clone())?;
        // The end of a line belongs to no mark, nor do blanks before it.
        let mut end = mark.start + marked.trim_end().len();
        if let Some((at, _)) = source[mark.start..end].match_indices('\n').nth(LINES - 1) {
            end = mark.start + at;
        }
        let mut from = source[..mark.start].rfind('\n').map_or(0, |at| at + 1);
        let mut to = source[end..].find('\n').map_or(source.len(), |at| end + at);
        let line = source[..from].matches('\n').count() as u64 + 1;
        if to - from > LONGEST {
            from = source.floor_char_boundary(mark.start.saturating_sub(LONGEST / 8).max(from));
            end = source.floor_char_boundary(end.min(mark.start + LONGEST / 2)).max(mark.start);
            to = source.ceil_char_boundary(to.min(end + LONGEST / 8));
        }
        let text = source[from..to].trim_end_matches('\r').to_owned();
        let end = (end - from).min(text.len());
        let excerpt = Self { line, text, mark: (mark.start - from).min(end)..end };
        Some(if below_secret(source, from) {
            Self { text: MASK.to_owned(), mark: 0..MASK.len(), ..excerpt }
        } else {
            excerpt
        })
    }

    /// The line of a place, marked from there to its end.
    pub fn at(source: &str, place: Place) -> Option<Self> {
        let index = usize::try_from(place.line).ok()?.checked_sub(1)?;
        let line = source.split('\n').nth(index)?;
        let start = line.as_ptr().addr() - source.as_ptr().addr();
        let column = usize::try_from(place.column).ok()?.saturating_sub(1);
        let skip = match place.column {
            0 => line.len() - line.trim_start().len(),
            _ => line.char_indices().nth(column).map_or(line.len(), |(at, _)| at),
        };
        let end = line.trim_end().len().max(skip);
        Self::of(source, start + skip..start + end)
    }

    /// As [`at`](Self::at), in a shell file. Nothing where the line may belong to a value that began
    /// above it: nobody could tell whether that is a secret.
    pub fn of_shell(source: &str, place: Place) -> Option<Self> {
        let found = Self::at(source, place)?;
        let above: Vec<&str> = source.lines().take(usize::try_from(place.line).ok()?.saturating_sub(1)).collect();
        let mut quote = None;
        for line in &above {
            let mut letters = line.chars();
            let mut blank = true;
            while let Some(c) = letters.next() {
                match (quote, c) {
                    (None, '#') if blank => break,
                    (Some(open), c) if open == c => quote = None,
                    (None, '"' | '\'') => quote = Some(c),
                    (None | Some('"'), '\\') => drop(letters.next()),
                    _ => {}
                }
                blank = c.is_whitespace();
            }
        }
        let continued = above.last().is_some_and(|line| line.ends_with('\\')) || above.iter().any(|l| l.contains("<<"));
        (quote.is_none() && !continued).then_some(found)
    }

    /// The line that sets a variable, marked at what it is set to.
    pub fn of_assignment(written: &Written) -> Option<Self> {
        let start = written.text.char_indices().nth(written.column.saturating_sub(1))?.0;
        let value = written.text[start..].find('=').map_or(start, |at| start + at + 1);
        let end = value + word_end(&written.text[value..]);
        let mark = if end > value { value..end } else { start..written.text.trim_end().len().max(start) };
        let found = Self::of(&written.text, mark)?;
        Some(Self { line: written.line as u64, ..found })
    }

    /// The line that sets a variable, marked at its name.
    pub fn of_name(written: &Written, name: &str) -> Option<Self> {
        let start = written.text.char_indices().nth(written.column.saturating_sub(1))?.0;
        let found = Self::of(&written.text, start..start + name.len())?;
        Some(Self { line: written.line as u64, ..found })
    }

    /// Where the mark begins, in a text that was not cut.
    pub fn place(&self) -> Place {
        let before = &self.text[..self.mark.start];
        let line = before.rsplit('\n').next().unwrap_or_default();
        let above = before.matches('\n').count() as u64;
        Place { line: self.line + above, column: line.chars().count() as u64 + 1 }
    }

    /// Takes secrets out.
    pub fn mask(&mut self, masking: &Masking) {
        let secrets = masking.secrets(&self.text, true);
        let (mut text, mut mark) = (String::with_capacity(self.text.len()), self.mark.clone());
        let mut done = 0;
        for secret in &secrets {
            text.push_str(&self.text[done..secret.start]);
            let masked = text.len()..text.len() + MASK.len();
            text.push_str(MASK);
            done = secret.end;
            // Each border of the mark: behind the secret it moves along, inside it is widened.
            for (border, original, inside) in
                [(&mut mark.start, self.mark.start, masked.start), (&mut mark.end, self.mark.end, masked.end)]
            {
                if original >= secret.end {
                    *border = masked.end + (original - secret.end);
                } else if original > secret.start {
                    *border = inside;
                }
            }
        }
        text.push_str(&self.text[done..]);
        (self.text, self.mark) = (text, mark);
    }
}

/// Whether a line of a YAML text is a part of a value whose key tells of a secret. Keys without
/// indentation are names of jobs.
fn below_secret(source: &str, line_start: usize) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let line = source[line_start..].lines().next().unwrap_or_default();
    let mut depth = indent(line);
    for above in source[..line_start].lines().rev().filter(|l| !l.trim().is_empty()) {
        if indent(above) < depth {
            depth = indent(above);
            let key = above.trim().trim_start_matches(['-', ' ', '"', '\'']);
            let key = key.split([':', '=']).next().unwrap_or_default().trim_matches(['"', '\'', ' ']);
            if depth > 0 && key != "secrets" && is_secret_name(key) {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(excerpt: &Excerpt) -> (u64, &str, &str) {
        (excerpt.line, &excerpt.text, &excerpt.text[excerpt.mark.clone()])
    }

    #[test]
    fn lines_and_marks() {
        let source = "a: 1\nb: é two \r\nc: >-\n  one\n  two\n\nd: x";
        let find = |text: &str| {
            let at = source.find(text).unwrap();
            Excerpt::of(source, at..at + text.len()).unwrap()
        };
        assert_eq!(marked(&find("1")), (1, "a: 1", "1"));
        assert_eq!(marked(&find("é two ")), (2, "b: é two ", "é two"));
        assert_eq!(marked(&find("one\n  two\n\n")), (4, "  one\n  two", "one\n  two"));
        assert_eq!(marked(&find("x")), (7, "d: x", "x"));
        let at = |line, column| Excerpt::at(source, Place { line, column });
        assert_eq!(marked(&at(2, 4).unwrap()), (2, "b: é two ", "é two"));
        assert_eq!(marked(&at(4, 0).unwrap()), (4, "  one", "one"));
        assert_eq!(marked(&at(6, 1).unwrap()), (6, "", ""));
        assert!(at(99, 1).is_none() && at(0, 0).is_none());
        assert!(Excerpt::of(source, 6..999).is_none());
        assert_eq!(marked(&Excerpt::of("", 0..0).unwrap()), (1, "", ""));
    }

    #[test]
    fn neither_many_lines_nor_long_ones() {
        let many = "x\n".repeat(100);
        assert_eq!(Excerpt::of(&many, 0..200).unwrap().text.lines().count(), LINES);
        let long = format!("{}é!é{}", "a".repeat(9000), "b".repeat(9000));
        let excerpt = Excerpt::of(&long, 9002..9003).unwrap();
        assert_eq!((marked(&excerpt).2, excerpt.text.len() < LONGEST), ("!", true));
        assert!(Excerpt::of(&long, 0..long.len()).unwrap().text.len() < LONGEST);
    }

    #[test]
    fn lines_of_a_shell_file_that_may_be_a_part_of_a_secret() {
        let source = "# it's a \"comment\nA='x'\nKEY=\"begin\nsecret\nend\"\nfi\nB=a\\\nb\ncat <<E\nx\n";
        let shown: Vec<bool> =
            (1..=10).map(|line| Excerpt::of_shell(source, Place { line, column: 0 }).is_some()).collect();
        let expected = [true, true, true, false, false, true, true, false, true, false];
        assert_eq!(shown, expected);
    }

    #[test]
    fn secrets_are_taken_out_and_the_mark_stays_where_it_was() {
        let masking = Masking::of([("DB_PASSWORD", "hunter2222")]);
        for (source, mark, text, shown) in [
            ("run: login hunter2222 -x", "-x", "run: login *** -x", "-x"),
            ("run: -x hunter2222", "-x", "run: -x ***", "-x"),
            ("run: login hunter2222 -x", "login hunter2222", "run: login *** -x", "login ***"),
            ("run: login hunter2222 -x", "ter2", "run: login *** -x", "***"),
            ("a: --env API_TOKEN=abc --volum /x", "--volum", "a: --env API_TOKEN=*** --volum /x", "--volum"),
            ("a: [1]", "[", "a: [1]", "["),
        ] {
            let at = source.find(mark).unwrap();
            let mut excerpt = Excerpt::of(source, at..at + mark.len()).unwrap();
            excerpt.mask(&masking);
            assert_eq!((marked(&excerpt).1, marked(&excerpt).2), (text, shown));
        }
        let below = "env:\n  MY_TOKEN: >-\n    abc$d\n  OTHER: x\n";
        let excerpt =
            |text: &str| Excerpt::of(below, below.find(text).unwrap()..below.find(text).unwrap() + 1).unwrap().text;
        assert_eq!((excerpt("abc").as_str(), excerpt("OTHER").as_str()), ("***", "  OTHER: x"));
    }
}
