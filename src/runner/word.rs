//! The last word of a holder, where its exit code alone does not tell how a run ended: a command
//! may end with any code, and a holder that was killed says nothing.

use std::fmt;

use anyhow::Result;

use super::shelf::Reader;
use super::spool::Record;
use crate::engine::{Channel, Frame};

/// Exit code of a holder whose command did not end by itself.
pub const NO_END: i64 = 125;

/// Exit code of what was killed.
const KILLED: i64 = 137;

/// A longer line is none of a holder's.
const LONGEST: usize = 1 << 16;

const FRONT: &str = "tender: ";
const NOT_STARTED: &str = "could not start: ";
const LOST: &str = "lost: ";
const ENDED: &str = "the command ended with ";

/// The last line that a holder writes to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastWord {
    /// The command did not begin, and why.
    NotStarted(String),
    /// Nobody knows what became of the command, and why.
    Lost(String),
    /// The command ended with this code, which is none of the holder's own.
    Ended(i64),
}

impl LastWord {
    /// What there is to say at the end of a command with this code; `None` where the code says it.
    pub fn of(code: i64) -> Option<Self> {
        is_ambiguous(code).then_some(Self::Ended(code))
    }

    fn parse(line: &str) -> Option<Self> {
        let said = line.strip_prefix(FRONT)?;
        if let Some(why) = said.strip_prefix(NOT_STARTED) {
            return Some(Self::NotStarted(why.to_owned()));
        }
        if let Some(why) = said.strip_prefix(LOST) {
            return Some(Self::Lost(why.to_owned()));
        }
        said.strip_prefix(ENDED)?.parse().ok().map(Self::Ended)
    }

    /// The last word in a run's output.
    ///
    /// # Errors
    /// When the output cannot be read.
    pub fn read(output: &mut Reader) -> Result<Option<Self>> {
        let mut end = Vec::new();
        while let Some(record) = output.next()? {
            let Record::Piece(Frame { channel: Channel::Err, bytes, .. }) = record else { continue };
            // A line that begins before its last pieces is none of a holder's.
            if end.last() == Some(&b'\n') {
                end.clear();
            }
            end.extend(bytes);
            end.drain(..end.len().saturating_sub(LONGEST));
        }
        Ok(String::from_utf8_lossy(&end).lines().last().and_then(Self::parse))
    }
}

/// Whether a holder's code needs a word.
pub const fn is_ambiguous(code: i64) -> bool {
    code == NO_END || code == KILLED
}

impl fmt::Display for LastWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever was said.
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        match self {
            Self::NotStarted(why) => write!(f, "{FRONT}{NOT_STARTED}{}", line(why)),
            Self::Lost(why) => write!(f, "{FRONT}{LOST}{}", line(why)),
            Self::Ended(code) => write!(f, "{FRONT}{ENDED}{code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunId;
    use crate::runner::shelf::Shelf;
    use crate::runner::spool;

    fn word_after(pieces: &[(Channel, &str)]) -> Option<LastWord> {
        let dir = tempfile::tempdir().unwrap();
        let (shelf, run) = (Shelf::new(dir.path()), RunId("a".to_owned()));
        let mut found = shelf.resume(&run, |_| {}).unwrap();
        for (n, (channel, text)) in pieces.iter().enumerate() {
            let frame =
                Frame { channel: *channel, time_ns: i64::try_from(n).unwrap(), bytes: text.as_bytes().to_vec() };
            spool::write(&mut found.file, &Record::Piece(frame)).unwrap();
        }
        spool::write(&mut found.file, &Record::End).unwrap();
        LastWord::read(&mut shelf.read(&run).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for word in [
            LastWord::NotStarted("service web has no running container; `up` starts it".to_owned()),
            LastWord::Lost("the engine went away".to_owned()),
            LastWord::Ended(137),
        ] {
            let line = format!("{word}\n");
            assert_eq!(word_after(&[(Channel::Out, "a\n"), (Channel::Err, "b\n"), (Channel::Err, &line)]), Some(word));
        }
        assert_eq!(LastWord::Lost("two\n lines".to_owned()).to_string(), "tender: lost: two lines");
    }

    #[test]
    fn only_the_last_line_of_standard_error_is_one() {
        use Channel::{Err, Out};
        let word = "tender: the command ended with 137\n";
        for pieces in [
            &[][..],
            &[(Out, word)],
            &[(Err, word), (Err, "more\n")],
            &[(Err, "what "), (Err, word)],
            &[(Err, "tender: something else\n")],
        ] {
            assert_eq!(word_after(pieces), None, "{pieces:?}");
        }
        assert_eq!(word_after(&[(Err, "no newline\n"), (Err, word), (Out, "more")]), Some(LastWord::Ended(137)));
    }

    #[test]
    fn most_codes_speak_for_themselves() {
        let spoken: Vec<i64> = (0..=255).filter(|code| LastWord::of(*code).is_some()).collect();
        assert_eq!(spoken, [125, 137]);
    }
}
