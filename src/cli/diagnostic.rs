//! Problems as a compiler shows them: the place, the lines with the mistake underlined, the way out.

use annotate_snippets::{AnnotationKind, Element, Level, Origin, Renderer, Snippet};

use crate::config::{Problem, Severity};

/// Width of lines where there is no terminal: whoever reads that may have any.
const WIDE: usize = 400;

/// The problems in the order of their files and lines.
pub(super) fn sorted(problems: &[Problem]) -> Vec<&Problem> {
    let mut problems: Vec<&Problem> = problems.iter().collect();
    problems.sort_by_key(|problem| (&problem.origin, problem.severity));
    problems
}

/// A problem in several lines. `width` is that of the terminal.
pub(super) fn shown(problem: &Problem, width: Option<usize>, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(problem.title());
    let group = title.elements(elements(problem));
    renderer.term_width(width.unwrap_or(WIDE)).render(&[group])
}

fn elements(problem: &Problem) -> Vec<Element<'_>> {
    let mut elements: Vec<Element<'_>> = Vec::new();
    let expected = problem.expected.as_ref().map(|expected| format!("expected {expected}"));
    let mut notes = Vec::new();
    match &problem.excerpt {
        Some(excerpt) => {
            let line = usize::try_from(excerpt.line).unwrap_or(1);
            let mark = AnnotationKind::Primary.span(excerpt.mark.clone()).label(expected);
            elements.push(
                Snippet::source(&excerpt.text).path(&problem.origin.name).line_start(line).annotation(mark).into(),
            );
            // What came of a variable in a template, or of an escape.
            let marked = &excerpt.text[excerpt.mark.clone()];
            notes.push(
                problem.value.as_ref().filter(|value| !said(marked, value)).map(|value| format!("it is {value:?}")),
            );
        }
        None => {
            elements.push(place(problem).into());
            notes.push(problem.value.as_ref().map(|value| format!("it is {value:?}")));
            notes.push(expected);
        }
    }
    notes.push(problem.note.clone());
    let notes = notes.into_iter().flatten().map(|note| Level::NOTE.message(note).into());
    let help = problem.hint.iter().map(|hint| Level::HELP.message(hint).into());
    elements.extend(notes.chain(help));
    elements
}

/// Whether a marked text says a value already.
fn said(marked: &str, value: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    plain(marked).contains(&plain(value))
}

fn place(problem: &Problem) -> Origin<'_> {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let origin = Origin::path(&problem.origin.name);
    match problem.origin.place {
        Some(place) if place.column > 0 => origin.line(number(place.line)).char_column(number(place.column)),
        Some(place) => origin.line(number(place.line)),
        None => origin,
    }
}
