//! What a shell's last words mean, without repeating values that may stand in them.
//!
//! bash, dash and busybox' ash each have words of their own for the same mistakes.

use std::path::{Path, PathBuf};

use super::Problem;
use super::interpreter::Ran;
use super::said::Said;
use super::shell::{End, SourcedAt};

/// Programs that files like to call. Any other word may be a piece of a value that fell apart.
const PROGRAMS: &[&str] = &[
    "[[", "awk", "bash", "curl", "docker", "envsubst", "git", "hostname", "ip", "jq", "openssl", "perl", "python",
    "python3", "source", "ssh", "sudo", "wget", "yq",
];

/// The problem of a step that did not come to its end.
pub fn explain(file: &Path, ran: &Ran, limit_ms: u128) -> Option<Problem> {
    let said: Vec<Said> = lines(file, &ran.said, &ran.sourced);
    let whole = |message: &str| Problem::error(file.display().to_string(), message);
    Some(match ran.end {
        // bash goes on after some mistakes, without the rest of the file.
        End::Complete(status) => {
            let given_up = |s: &&Said| {
                let lower = s.text.to_lowercase();
                let cut = ["unexpected eof while looking", "syntax error"].iter().any(|words| lower.starts_with(words));
                status != 0 && (s.named && cut || lower.contains("nesting level exceeded"))
            };
            said.iter().find(given_up).and_then(fatal)?
        }
        End::TimedOut => whole(&format!("did not end within {limit_ms} ms and was stopped"))
            .hint("nothing in it may wait, loop or ask; what it sets is not used"),
        End::Deaf => whole("tells the shell to read on and do nothing").hint("take `set -n` out"),
        End::TooMuch => whole("sets more than 64 MiB of variables").hint("keep data in files, and name those"),
        End::Killed(11) => whole("ended the shell that reads it (signal 11)")
            .hint("something in it calls itself without end, or needs more than 400 MiB of memory"),
        End::Killed(signal) => whole(&format!("ended the shell that reads it (signal {signal})"))
            .hint("take `kill` out of it; signal 9 may also mean that memory ran out"),
        End::Exited(status) => match said.iter().rev().find_map(fatal) {
            Some(problem) => problem,
            None if ran.options.contains('e') => whole(&format!("ended the shell that reads it (exit {status})"))
                .hint("one of its commands failed while `set -e` was on; take that out, or add `|| :` to the command"),
            None => {
                let origin = said.iter().rev().find(|s| s.line.is_some()).map(Said::origin);
                Problem::error(
                    origin.unwrap_or_else(|| file.display().to_string()),
                    format!("ended the shell that reads it (exit {status})"),
                )
                .hint("what follows it was not read; use `return` or `if` instead of `exit`, and no `exec` or `ulimit`")
            }
        },
    })
}

/// What deserves a warning although the file was read to its end.
pub fn remarks(file: &Path, ran: &Ran, large: &[&str]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for said in lines(file, &ran.said, &ran.sourced) {
        let problem = match () {
            () if is_unknown_program(&said.text) => {
                let named = said.text.split(": ").next().filter(|word| PROGRAMS.contains(word));
                match named {
                    Some(word) => Problem::warning(said.origin(), format!("calls `{word}`, which is not here"))
                        .hint("ask with `command -v` first, or set the value without it"),
                    None => Problem::warning(said.origin(), "calls a program that is not here")
                        .hint("a value with blanks needs quotes around it"),
                }
            }
            () if is_no_name(&said.text) => Problem::warning(said.origin(), "sets something that is no name")
                .hint("a name has letters, digits and `_` only; a value with blanks needs quotes around it"),
            () if is_too_large(&said.text) => {
                let names = if large.is_empty() { "all variables together".to_owned() } else { large.join(", ") };
                Problem::warning(said.origin(), format!("calls a program while too much is exported for any: {names}"))
                    .hint("a program gets 128 KiB in one variable: set such a value without `export`")
            }
            () => continue,
        };
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems
}

/// Whether a shell says that a name may not be set.
pub fn is_read_only(said: &str) -> bool {
    let lower = said.to_lowercase();
    ["read only", "read-only", "readonly"].iter().any(|words| lower.contains(words))
}

/// Whether a program was not started because of the size of its environment.
pub fn is_too_large(said: &str) -> bool {
    said.to_lowercase().contains("argument list too long")
}

/// Whether a program was asked for that is not there.
pub fn is_unknown_program(said: &str) -> bool {
    said.lines().any(|line| line.ends_with("not found"))
}

fn is_no_name(said: &str) -> bool {
    said.contains("not a valid identifier") || said.contains("bad variable name")
}

fn lines(file: &Path, said: &str, sourced: &[SourcedAt]) -> Vec<Said> {
    let known: Vec<PathBuf> = sourced.iter().map(|s| s.file.clone()).chain([file.to_owned()]).collect();
    said.lines().map(|line| Said::new(line, file, &known)).collect()
}

/// What ends a shell, where these are the words for it.
fn fatal(said: &Said) -> Option<Problem> {
    let lower = said.text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let error = |message: String| Problem::error(said.origin(), message);
    if has(&["bad substitution"]) {
        return Some(error("bad substitution".into()).hint("what stands in `${…}` must be known to a POSIX sh"));
    }
    if has(&["syntax error", "unexpected eof", "unterminated"]) {
        return Some(error(format!("syntax error{}", syntax(&lower))).hint("`sh -n FILE` shows it"));
    }
    if has(&["can't open", "cannot open", "no such file", "permission denied", "is a directory"]) {
        // Of a path at most: a word that a value fell apart into is not shown.
        let path = said.path()?;
        return Some(
            error(format!("reads {path}, which cannot be opened"))
                .hint("make the file, ask with `[ -f … ]` first, or name its folder in SCHEDULER_PROBE_DIRS"),
        );
    }
    let name = said.name();
    let named = name.clone().unwrap_or_else(|| "a variable".to_owned());
    if is_read_only(&lower) {
        return Some(
            error(format!("sets {named}, which is read-only"))
                .hint("do not use `readonly`: the file is read twice, and `UID` and `EUID` are bash's own"),
        );
    }
    if has(&["unbound variable", "parameter not set"]) {
        return Some(
            error(format!("uses {named}, which is not set, while `set -u` is on"))
                .hint("set it, write `${NAME:-}`, or take `set -u` out"),
        );
    }
    if is_no_name(&lower) {
        return Some(
            error("sets something that is no name".into())
                .hint("a name has letters, digits and `_` only; a value with blanks needs quotes around it"),
        );
    }
    if has(&["recursion depth", "nesting level"]) {
        return Some(error("calls itself without end".into()).hint("a function in it calls itself"));
    }
    if has(&["cannot allocate", "out of memory", "out of space", "memory exhausted"]) {
        return Some(error("needs more memory than it is given".into()).hint("a shell file may use 400 MiB"));
    }
    if has(&["resource temporarily unavailable", "can't fork", "cannot fork"]) {
        return Some(error("starts more processes than it may".into()).hint("wait for one before the next begins"));
    }
    // `${NAME:?…}`; the words after it are the author's.
    let command = is_unknown_program(&said.text) || is_too_large(&said.text) || has(&["cannot execute"]);
    name.filter(|name| !command && name.bytes().any(|b| b.is_ascii_uppercase())).map(|name| {
        error(format!("asks for {name}, which is not set")).hint("set it before, in env.local for instance")
    })
}

/// What a syntax error is about.
fn syntax(lower: &str) -> String {
    const TOKENS: &[&str] = &[
        "fi", "done", "then", "do", "else", "elif", "esac", "in", "}", ")", "(", ";;", "&&", "||", "|", "&", "newline",
    ];
    let between = |from: &str, to: char| {
        let word = lower.split_once(from)?.1.split(to).next()?;
        TOKENS.iter().find(|token| **token == word)
    };
    if lower.contains("unterminated quoted") || lower.contains("looking for matching `\"") || lower.contains("`''") {
        return ": a quote is opened and not closed".to_owned();
    }
    if lower.contains("looking for matching `)") || lower.contains("looking for matching ``") {
        return ": a `$(` or backquote is opened and not closed".to_owned();
    }
    if lower.contains("backquote") {
        return ": a backquote is opened and not closed".to_owned();
    }
    if let Some(missing) = between("expecting \"", '"') {
        return format!(": `{missing}` is missing");
    }
    if lower.contains("end of file") {
        return ": the file ends in the middle of a command".to_owned();
    }
    let unexpected = between("unexpected \"", '"').or_else(|| between("unexpected token `", '\''));
    let unexpected = unexpected.or_else(|| between("syntax error: \"", '"'));
    unexpected.map(|token| format!(": `{token}` stands in a wrong place")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(end: End, said: &str) -> Ran {
        let sourced = vec![SourcedAt { file: "/s/more.env".into(), by: "/s/env.local".into(), line: 1 }];
        Ran { end, said: said.to_owned(), options: String::new(), peeked: None, changed: vec![], sourced }
    }

    fn exited(said: &str) -> String {
        explain(Path::new("/s/env.local"), &ran(End::Exited(2), said), 1).unwrap().to_string()
    }

    #[test]
    fn last_words_of_three_shells() {
        let unclosed = "syntax error: a quote is opened and not closed";
        let missing = "reads /nope/x.env, which cannot be opened";
        for (said, expected) in [
            (
                "/proc/9/fd/7: 12: /s/env.local: Syntax error: Unterminated quoted string",
                ":12: X".replace('X', unclosed),
            ),
            (
                "/proc/9/fd/7: /s/env.local: line 12: syntax error: unterminated quoted string",
                format!(":12: {unclosed}"),
            ),
            ("/s/env.local: line 2: unexpected EOF while looking for matching `\"'", format!(":2: {unclosed}")),
            ("/s/env.local: line 2: unexpected EOF while looking for matching `''", format!(":2: {unclosed}")),
            ("/s/env.local: line 3: syntax error near unexpected token `fi'\n/s/env.local: line 3: `fi'", wrong("fi")),
            ("/proc/9/fd/7: 3: /s/env.local: Syntax error: \"fi\" unexpected", wrong("fi")),
            ("/proc/9/fd/7: /s/env.local: line 3: syntax error: unexpected \"fi\"", wrong("fi")),
            ("/proc/9/fd/7: 3: ./more.env: Syntax error: end of file unexpected (expecting \"then\")", {
                "/s/more.env:3: syntax error: `then` is missing".to_owned()
            }),
            (
                "/s/more.env: line 3: syntax error: unexpected end of file",
                "/s/more.env:3: syntax error: the file".into(),
            ),
            ("/proc/9/fd/7: 25: .: cannot open /nope/x.env: No such file", format!("/s/env.local:25: {missing}")),
            (
                "/proc/9/fd/7: .: line 25: can't open '/nope/x.env': No such file or directory",
                format!(":25: {missing}"),
            ),
            ("/s/env.local: line 25: /nope/x.env: No such file or directory", format!("/s/env.local:25: {missing}")),
            ("/s/env.local: line 3: R: readonly variable", ":3: sets R, which is read-only".into()),
            ("/proc/9/fd/7: export: line 3: R: is read only", ":3: sets R, which is read-only".into()),
            ("/s/env.local: line 3: NOPE: unbound variable", ":3: uses NOPE, which is not set".into()),
            ("/proc/9/fd/7: 3: /s/env.local: NOPE: parameter not set", ":3: uses NOPE, which is not set".into()),
            ("/s/env.local: line 3: DOMAIN: say it", ":3: asks for DOMAIN, which is not set".into()),
            ("/s/env.local: line 4: ${A!b}: bad substitution", ":4: bad substitution".into()),
            ("/proc/9/fd/7: 2: export: c/d-e: bad variable name", "/s/env.local:2: sets something that is no".into()),
            ("/proc/9/fd/7: 2: /s/env.local: Maximum function recursion depth (1000) reached", "calls itself".into()),
            ("", "ended the shell that reads it (exit 2)".into()),
        ] {
            assert!(exited(said).contains(&expected), "{said:?}: {}", exited(said));
        }
    }

    fn wrong(token: &str) -> String {
        format!("/s/env.local:3: syntax error: `{token}` stands in a wrong place")
    }

    #[test]
    fn bash_goes_on_after_an_open_quote() {
        let said = "/s/env.local: line 2: unexpected EOF while looking for matching `\"'\n";
        assert!(explain(Path::new("/s/env.local"), &ran(End::Complete(2), said), 1).is_some());
        assert!(explain(Path::new("/s/env.local"), &ran(End::Complete(2), "grep: x: No such file\n"), 1).is_none());
    }

    #[test]
    fn values_are_not_repeated() {
        for said in [
            "/s/env.local: 3: hunter2: not found\n/s/env.local: 4: Syntax error: \"hunter2\" unexpected\n",
            "/s/env.local: line 3: hunter2: command not found\n",
            "/s/env.local: line 3: export: `hunter2-x': not a valid identifier\n",
            "/s/env.local: line 3: hunter2: some words\n",
            "/s/env.local: line 3: /bin/x: Argument list too long\n+ A=hunter2\n",
            "/s/env.local: line 3: hunter2: cannot open: No such file\n",
        ] {
            let mut texts: Vec<String> = remarks(Path::new("/s/env.local"), &ran(End::Complete(0), said), &["BIG"])
                .iter()
                .map(ToString::to_string)
                .collect();
            texts.push(exited(said));
            assert!(!texts.concat().contains("hunter2"), "{texts:?}");
        }
    }

    #[test]
    fn warnings_say_where() {
        let of = |said: &str| remarks(Path::new("/s/env.local"), &ran(End::Complete(0), said), &["BIG"])[0].to_string();
        assert!(of("/s/more.env: line 3: git: command not found").contains("/s/more.env:3: calls `git`"));
        assert!(of("/proc/9/fd/7: 3: /s/env.local: zzz: not found").contains(":3: calls a program that is not here"));
        assert!(of("/s/env.local: line 3: /bin/date: Argument list too long").contains("exported for any: BIG"));
    }
}
