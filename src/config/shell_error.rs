//! What a shell's last words mean, without repeating values that may stand in them.

use std::path::Path;

use super::Problem;
use super::shell::End;

/// The problem of a step that did not come to its end.
pub fn explain(file: &Path, end: End, said: &str, limit_ms: u64) -> Option<Problem> {
    let file_name = file.display().to_string();
    Some(match end {
        End::Complete(_) => return None,
        End::TimedOut => Problem::error(file_name, format!("did not end within {limit_ms} ms and was stopped"))
            .hint("nothing in it may wait, loop or ask; what comes after it was not read"),
        End::Vanished => Problem::error(file_name, "replaced or killed the shell that reads it")
            .hint("take `exec` and `kill` out of it"),
        End::Exited(status) => {
            let message = said.lines().rev().find_map(|line| understood(line));
            let line = said.lines().rev().find_map(line_number);
            let origin = line.map_or(file_name.clone(), |n| format!("{file_name}:{n}"));
            match message {
                Some((message, hint)) => Problem::error(origin, message).hint(hint),
                None => Problem::error(origin, format!("ended the shell that reads it (exit {status})"))
                    .hint("what follows it was not read; use `return` or `if` instead of `exit`"),
            }
        }
    })
}

/// `file: 12: …`, `file: line 12: …`
fn line_number(said: &str) -> Option<u32> {
    said.split(": ").skip(1).find_map(|part| part.trim_start_matches("line ").parse().ok())
}

fn understood(line: &str) -> Option<(String, &'static str)> {
    let lower = line.to_lowercase();
    if lower.contains("syntax error") || lower.contains("unexpected eof") || lower.contains("unterminated") {
        let detail =
            [
                "unterminated quoted string",
                "end of file",
                "\"fi\"",
                "\"done\"",
                "\"}\"",
                "\")\"",
                "\"(\"",
                "\"then\"",
                "bad substitution",
            ]
            .into_iter()
            .find(|d| lower.contains(d))
            .map(|d| {
                if d.starts_with('"') || d.starts_with("end") {
                    format!(" (unexpected {d})")
                } else {
                    format!(" ({d})")
                }
            })
            .unwrap_or_default();
        return Some((format!("syntax error{detail}"), "`sh -n FILE` shows it"));
    }
    if lower.contains("bad substitution") {
        return Some(("bad substitution".to_owned(), "the file must be readable by a POSIX sh"));
    }
    if lower.contains("can't open") || lower.contains("cannot open") || lower.contains("no such file") {
        // Of a path at most: a word that a value fell apart into is not shown.
        let path = line
            .split([' ', '\'', '"', ':'])
            .filter(|w| w.starts_with('/') || w.starts_with("./") || w.starts_with("../"))
            .rfind(|w| !w.ends_with("/sh"))?;
        return Some((
            format!("reads {path}, which cannot be opened"),
            "make the file, ask with `[ -f … ]` first, or name its folder in SCHEDULER_PROBE_DIRS",
        ));
    }
    if lower.contains("read-only") || lower.contains("readonly") || lower.contains("read only") {
        return Some(("sets a variable that is read-only".to_owned(), "do not use `readonly`: the file is read twice"));
    }
    if lower.contains("argument list too long") {
        return Some(("the environment is too large for a program".to_owned(), "a variable holds at most 128 KiB"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(said: &str) -> String {
        explain(Path::new("/s/env.local"), End::Exited(2), said, 1).unwrap().to_string()
    }

    #[test]
    fn last_words() {
        for (said, expected) in [
            (
                "sh: 12: /s/env.local: Syntax error: Unterminated quoted string\n",
                "/s/env.local:12: syntax error (unterminated quoted string)",
            ),
            ("/s/env.local: 3: Syntax error: \"fi\" unexpected\n", "/s/env.local:3: syntax error (unexpected \"fi\")"),
            ("/s/env.local: line 7: syntax error: unterminated quoted string\n", "/s/env.local:7: syntax error"),
            ("sh: 25: .: cannot open /nope/x.env: No such file\n", "reads /nope/x.env, which cannot be opened"),
            ("sh: .: line 20: can't open '/nope/x.env': No such file or directory", "reads /nope/x.env, which"),
            ("", "ended the shell that reads it (exit 2)"),
        ] {
            assert!(exited(said).contains(expected), "{said:?}: {}", exited(said));
        }
    }

    #[test]
    fn values_are_not_repeated() {
        let said = "/s/env.local: 3: hunter2: not found\n/s/env.local: 4: Syntax error: \"hunter2\" unexpected\n";
        assert!(!exited(said).contains("hunter2"));
    }
}
