//! From places in a rendered text back to those in its template.

use std::ops::Range;

use super::Place;
use super::expand::{Lookup, reference};

/// A template with what became of its references.
pub struct Rendered {
    /// The template.
    pub source: String,
    /// Replaced references: where they stand in the template, and their values in the rendered text.
    replaced: Vec<(Range<usize>, Range<usize>)>,
}

impl Rendered {
    /// Finds out which references of a template were replaced in the text that was made of it;
    /// nothing where the one cannot have been made of the other.
    pub fn of(source: &str, text: &str, lookup: Lookup<'_>) -> Option<Self> {
        let mut replaced = Vec::new();
        let (mut here, mut there) = (0, 0);
        while here < source.len() {
            let literal = source[here..].find('$').map_or(source.len(), |at| here + at);
            if !text.get(there..)?.starts_with(&source[here..literal]) {
                return None;
            }
            there += literal - here;
            here = literal;
            if here == source.len() {
                break;
            }
            match reference(&source[here..]) {
                Some(found) if !text[there..].starts_with(&source[here..here + found.length]) => {
                    let length = lookup(found.name).unwrap_or_default().len();
                    replaced.push((here..here + found.length, there..there + length));
                    (here, there) = (here + found.length, there + length);
                }
                _ => {
                    // A dollar that stayed.
                    text.get(there..)?.starts_with('$').then_some(())?;
                    (here, there) = (here + 1, there + 1);
                }
            }
        }
        (there == text.len()).then(|| Self { source: source.to_owned(), replaced })
    }

    /// The bytes of the template that became these of the rendered text; whole references only.
    pub fn origin(&self, rendered: Range<usize>) -> Range<usize> {
        let moved = |at: usize, to_end: bool| {
            let (mut here, mut there) = (0, 0);
            for (reference, value) in &self.replaced {
                if at < value.start || at == value.start && to_end {
                    break;
                }
                if at < value.end {
                    return if to_end { reference.end } else { reference.start };
                }
                (here, there) = (reference.end, value.end);
            }
            (here + (at - there)).min(self.source.len())
        };
        let start = moved(rendered.start, false);
        start..moved(rendered.end, true).max(start)
    }

    /// The place of a byte of the template.
    pub fn place(&self, at: usize) -> Place {
        let before = &self.source[..self.source.floor_char_boundary(at)];
        let line = before.rsplit('\n').next().unwrap_or_default();
        Place { line: before.matches('\n').count() as u64 + 1, column: line.chars().count() as u64 + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_template() {
        let lookup = |name: &str| match name {
            "WHEN" => Some("99 * * * *".to_owned()),
            "TWO" => Some("one\ntwo".to_owned()),
            _ => None,
        };
        let source = "a: ${TWO}\ns: \"$WHEN\"\nc: $KEEP $ x\nd: ${NONE}end\n";
        let text = "a: one\ntwo\ns: \"99 * * * *\"\nc: $KEEP $ x\nd: end\n";
        let rendered = Rendered::of(source, text, &lookup).unwrap();
        for (found, expected, place) in [
            ("99 * * * *", "$WHEN", (2, 5)),
            ("\"99 * * * *\"", "\"$WHEN\"", (2, 4)),
            ("* *", "$WHEN", (2, 5)),
            ("two", "${TWO}", (1, 4)),
            ("$ x", "$ x", (3, 10)),
            ("d:", "d:", (4, 1)),
            ("end", "end", (4, 11)),
        ] {
            let at = text.find(found).unwrap();
            let origin = rendered.origin(at..at + found.len());
            assert_eq!(&source[origin.clone()], expected, "{found}");
            let Place { line, column } = rendered.place(origin.start);
            assert_eq!((line, column), place, "{found}");
        }
        assert!(Rendered::of("a $B", "b", &lookup).is_none());
    }
}
