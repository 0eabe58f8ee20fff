//! Why a value is not understood.

use crate::nearest::nearest;
use crate::schedule::ScheduleError;

/// What is wrong with a value, what is understood in its place, and what may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub message: String,
    /// The form or the set of values that is understood.
    pub expected: Option<String>,
    /// The way out.
    pub hint: Option<String>,
}

impl From<&str> for Wrong {
    /// A text that begins with `expected` says nothing but what is understood.
    fn from(text: &str) -> Self {
        match text.strip_prefix("expected ") {
            Some(form) => Self { message: "is not understood".to_owned(), expected: Some(form.to_owned()), hint: None },
            None => Self { message: text.to_owned(), expected: None, hint: None },
        }
    }
}

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<ScheduleError> for Wrong {
    /// Behind the semicolon stands the way out.
    fn from(error: ScheduleError) -> Self {
        let (message, hint) = error.0.split_once("; ").map_or((error.0.as_str(), None), |(m, h)| (m, Some(h)));
        Self { message: message.to_owned(), expected: None, hint: hint.map(str::to_owned) }
    }
}

/// One of some words, each with what it stands for.
///
/// # Errors
/// Says all words, and the nearest one.
pub fn choice<T: Clone>(text: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(value.clone());
    }
    let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    Err(Wrong { hint: meant(text, all.iter().copied()), ..Wrong::from(format!("expected {}", listed(&all))) })
}

/// `did you mean …?` for the nearest of some words.
pub fn meant<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(text, words).map(|near| format!("did you mean `{near}`?"))
}

/// `a, b or c`
pub fn listed(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_some_words() {
        let words = [("skip", 1), ("queue", 2), ("allow", 3)];
        assert_eq!(choice("queue", &words), Ok(2));
        let wrong = choice("skpi", &words).unwrap_err();
        assert_eq!(wrong.expected.as_deref(), Some("skip, queue or allow"));
        assert_eq!(wrong.hint.as_deref(), Some("did you mean `skip`?"));
        assert_eq!(choice("never", &words).unwrap_err().hint, None);
    }

    #[test]
    fn a_text_that_says_only_what_is_expected() {
        assert_eq!(Wrong::from("expected a size").expected.as_deref(), Some("a size"));
        assert_eq!(Wrong::from("too large").message, "too large");
    }
}
