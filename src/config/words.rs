//! A command line split like a shell splits words, without a shell.

/// What a command line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// Plain words.
    Words(Vec<String>),
    /// It needs a shell: it holds operators, substitutions, several lines or an assignment in front.
    Shell,
}

/// Splits a text into words, or finds that it needs a shell.
///
/// # Errors
/// When a quote is not closed.
pub fn command_line(text: &str) -> Result<CommandLine, String> {
    let split = split(text, true)?;
    let assignment = split.words.first().is_some_and(|w| w.assignment);
    if split.operator || assignment {
        return Ok(CommandLine::Shell);
    }
    Ok(CommandLine::Words(split.words.into_iter().map(|w| w.text).collect()))
}

/// The words of a text in which line breaks are blanks and operators are letters, as in a list of
/// options.
///
/// # Errors
/// When a quote is not closed.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    Ok(split(text, false)?.words.into_iter().map(|w| w.text).collect())
}

/// A word in quotes that a shell reads as this text.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    let assigns = word.split_once('=').is_some_and(|(name, _)| is_name(name));
    if !word.is_empty() && word.chars().all(plain) && !assigns {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

struct Word {
    text: String,
    assignment: bool,
}

struct Split {
    words: Vec<Word>,
    operator: bool,
}

fn split(text: &str, shell: bool) -> Result<Split, String> {
    let mut words: Vec<Word> = Vec::new();
    let mut operator = false;
    let mut word: Option<String> = None;
    // Whether everything up to the first `=` of the word stood without quotes.
    let mut bare = true;
    let mut assignment = false;
    let mut chars = text.trim_matches(|c: char| c.is_ascii_whitespace()).chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                bare = false;
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a single quote is not closed".to_owned()),
                    }
                }
            }
            '"' => {
                bare = false;
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some('\n') => {}
                            Some(c @ ('$' | '`' | '"' | '\\')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("a double quote is not closed".to_owned()),
                        },
                        Some(c) => {
                            // Both stay alive inside double quotes.
                            operator |= c == '`' || c == '$' && chars.peek() == Some(&'(');
                            word.push(c);
                        }
                        None => return Err("a double quote is not closed".to_owned()),
                    }
                }
            }
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(c) => {
                    bare = false;
                    word.get_or_insert_default().push(c);
                }
                None => word.get_or_insert_default().push('\\'),
            },
            '\n' if shell => operator = true,
            c if c.is_ascii_whitespace() => {
                if let Some(text) = word.take() {
                    words.push(Word { text, assignment });
                }
                (bare, assignment) = (true, false);
            }
            '#' if shell && word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            c => {
                // A home is known to a shell alone.
                operator |= "<>|&;()`".contains(c) || c == '~' && word.is_none();
                let word = word.get_or_insert_default();
                if c == '=' && bare && is_name(word) {
                    assignment = true;
                }
                bare &= c != '=';
                word.push(c);
            }
        }
    }
    if let Some(text) = word {
        words.push(Word { text, assignment });
    }
    Ok(Split { words, operator })
}

/// Whether a text may be the name of a shell variable.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits_or_asks_for_a_shell() {
        let words = |w: &[&str]| CommandLine::Words(w.iter().map(|w| (*w).to_owned()).collect());
        for (text, expected) in [
            ("a  b", words(&["a", "b"])),
            ("", words(&[])),
            ("sh -c 'a | b; c'", words(&["sh", "-c", "a | b; c"])),
            (r#"a "b c" d\ e "" '' x"y"z"#, words(&["a", "b c", "d e", "", "", "xyz"])),
            (r"-a \* -u *", words(&["-a", "*", "-u", "*"])),
            ("a --opt=b x=1", words(&["a", "--opt=b", "x=1"])),
            ("echo a#b # rest", words(&["echo", "a#b"])),
            ("a \\\n b", words(&["a", "b"])),
            ("a > /tmp/x 2>&1", CommandLine::Shell),
            ("a && b", CommandLine::Shell),
            ("a\nb", CommandLine::Shell),
            ("echo `date`", CommandLine::Shell),
            (r#"echo "$(date)""#, CommandLine::Shell),
            ("X=1 env", CommandLine::Shell),
        ] {
            assert_eq!(command_line(text).unwrap(), expected, "{text}");
        }
        assert!(command_line("a 'b").is_err());
        assert!(command_line("a \"b").is_err());
    }

    #[test]
    fn options_run_over_lines() {
        assert_eq!(words("--a b\n    --c 'd;e' # f").unwrap(), ["--a", "b", "--c", "d;e", "#", "f"]);
    }

    /// The words that a shell makes of a text, with names of files left alone.
    fn shell(shell: &str, text: &str) -> Option<Vec<String>> {
        let script = format!("set -f\nprintf '%s\\0' x {text}");
        let out = Command::new(shell).args(["-c", &script]).output().unwrap();
        let words = out.stdout.split(|byte| *byte == 0).map(|word| String::from_utf8(word.to_vec()).unwrap());
        let mut words: Vec<String> = words.collect();
        words.pop();
        out.status.success().then_some(words)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        /// Where we say that no shell is needed, every shell makes the same words of it.
        #[test]
        fn agrees_with_real_shells(text in r#"[a-c '"\\\\=#~*?!{},:.^%@+ \t-]{0,14}"#) {
            let Ok(CommandLine::Words(ours)) = command_line(&format!("x {text}")) else { return Ok(()) };
            for program in ["dash", "bash"] {
                // A backslash at the very end is left to each shell.
                if !text.trim_end().ends_with('\\') {
                    prop_assert_eq!(Some(ours.clone()), shell(program, &text), "{} {}", program, text);
                }
            }
        }

        /// What a shell would act on is always given to one, whatever stands around it.
        #[test]
        fn operators_are_recognised(
            before in "[a-z]{1,3}( [a-z]{1,3}| '[^'\0]{0,4}'| \"[a-z ]{0,4}\"){0,3}",
            operator in prop::sample::select(vec![" > f", "<f", " | b", "&& c", "; d", " & e", " $(f)", " `g`", " \"`h`\"", " \"$(i)\"", " (j)", "\nk"]),
            after in "( [a-z]{1,3}){0,2}",
        ) {
            let text = format!("{before}{operator}{after}");
            prop_assert_eq!(command_line(&text), Ok(CommandLine::Shell), "{}", text);
        }

        #[test]
        fn quoted_words_come_back(word in any::<String>()) {
            let word = word.replace('\0', "");
            prop_assert_eq!(words(&quote(&word)).unwrap(), [word.clone()]);
            let line = format!("x {}", quote(&word));
            prop_assert_eq!(command_line(&line).unwrap(), CommandLine::Words(vec!["x".to_owned(), word.clone()]));
            for program in ["dash", "bash"] {
                prop_assert_eq!(shell(program, &quote(&word)), Some(vec!["x".to_owned(), word.clone()]), "{}", program);
            }
        }

        #[test]
        fn any_text_is_split_or_refused(text in any::<String>()) {
            let _ = command_line(&text);
            let _ = words(&text);
        }
    }
}
