//! Templates: texts in which some variables are replaced, as `envsubst` does when it is told which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::probe::{Collected, Text};
use super::setting::Setting;
use super::words::is_name;
use super::{Loaded, Problem, aliases};
use crate::secret::Secret;

/// What the name of a template ends with.
pub const ENDING: &str = ".template";

/// Variables that a template may name and that must have a value.
pub const REQUIRED: &str = "VARS";
/// Variables that a template may name.
const OPTIONAL: &str = "OPTIONAL_VARS";

/// A template as it was found.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateFile {
    /// The conf dir that it lies in.
    pub dir: PathBuf,
    /// Its path.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Its bytes.
    pub text: Text,
}

/// A template, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Path of the template.
    pub source: PathBuf,
    /// Path of what is made of it: the same without `.template`.
    pub target: PathBuf,
    /// The conf dir that both lie in. Nothing outside of it may be written.
    pub dir: PathBuf,
    /// Permission bits of the template.
    pub mode: u32,
    /// What is made of it. Values of secrets are in it.
    pub text: Secret<Vec<u8>>,
}

/// Renders texts with the values of one configuration.
pub struct Renderer {
    required: BTreeSet<String>,
    optional: BTreeSet<String>,
    values: BTreeMap<String, Vec<u8>>,
}

impl Renderer {
    /// Takes lists and values from what was collected, old and new names alike.
    pub fn of(collected: &Collected) -> Self {
        let mut values: BTreeMap<String, Vec<u8>> =
            collected.values.iter().map(|(name, g)| (name.clone(), g.value.bytes().to_vec())).collect();
        let pairs = aliases::of_stack(collected);
        let mapped = aliases::mapped(collected, &pairs, &mut Vec::new());
        values.extend(mapped.into_iter().map(|m| (m.name, m.value.bytes().to_vec())));
        let pairs: BTreeMap<String, String> = pairs.into_iter().collect();
        let list = |variable: &str| {
            let mut names: BTreeSet<String> = entries(collected, variable).filter_map(Result::ok).collect();
            // A template of before the renaming lists the new name and uses the old one.
            let old: Vec<String> = names.iter().filter_map(|n| pairs.get(n)).cloned().collect();
            names.extend(old);
            names
        };
        Self { required: list(REQUIRED), optional: list(OPTIONAL), values }
    }

    /// The same for templates of job files. Jobs that a variable defines are read by themselves, so
    /// that a mistake in one spoils no other: here they become nothing, whatever the lists say. (The
    /// first stacks keep the lists inside their wrapper, where nobody sees them.)
    pub fn for_jobs(collected: &Collected) -> Self {
        let mut renderer = Self::of(collected);
        let extra = Setting::find("BIRDHOUSE_AUTODEPLOY_EXTRA_SCHEDULER_JOBS");
        for name in extra.iter().flat_map(|setting| setting.names()) {
            renderer.values.remove(name);
            renderer.required.insert(name.to_owned());
        }
        renderer
    }

    /// Two passes: a value of the first may name variables of the second, never the other way.
    pub fn render(&self, text: &[u8]) -> Vec<u8> {
        let value = |name: &str| self.values.get(name).map(Vec::as_slice);
        let first = substitute(text, &self.required, &value);
        substitute(&first, &self.optional, &value)
    }
}

/// Renders all templates that were found.
pub fn rendered(collected: &Collected) -> Vec<Template> {
    let renderer = Renderer::of(collected);
    let all = collected.templates.iter().map(|file| Template {
        source: file.path.clone(),
        target: target(file),
        dir: file.dir.clone(),
        mode: file.mode,
        text: Secret::new(renderer.render(file.text.bytes())),
    });
    all.collect()
}

fn target(file: &TemplateFile) -> PathBuf {
    let name = file.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    file.path.with_file_name(name.strip_suffix(ENDING).unwrap_or(&name))
}

/// Required variables without a value, each with the file that lists it.
pub fn unset(collected: &Collected) -> Vec<Problem> {
    let renderer = Renderer::of(collected);
    let mut names: Vec<String> = entries(collected, REQUIRED).filter_map(Result::ok).collect();
    names.sort();
    names.dedup();
    names.retain(|name| renderer.values.get(name).is_none_or(Vec::is_empty));
    let problem = |name: &String| {
        let listed =
            collected.listed.get(name).cloned().or_else(|| Some(collected.values.get(REQUIRED)?.source.clone()));
        Problem::error(listed.unwrap_or_default(), format!("required variable {name} is not set"))
            .at_name(REQUIRED)
            .hint(format!("set it in {}; no deploy goes on without it", collected.env_local.display()))
    };
    names.iter().map(problem).collect()
}

/// Entries of the lists that are no name with a leading `$`.
pub fn malformed(collected: &Collected) -> Vec<Problem> {
    let mut problems = Vec::new();
    for list in [REQUIRED, OPTIONAL] {
        let source = collected.values.get(list).map(|g| g.source.clone()).unwrap_or_default();
        for entry in entries(collected, list).filter_map(Result::err) {
            problems.push(
                Problem::warning(&source, format!("{entry:?} is no name with a leading `$` and is not used"))
                    .at_name(list)
                    .hint("write the names of variables as '$ONE $OTHER', in single quotes"),
            );
        }
    }
    problems
}

/// The entries of such a list: names without their `$`, or what is none.
fn entries(collected: &Collected, list: &str) -> impl Iterator<Item = Result<String, String>> {
    let text = collected.values.get(list).map(|g| g.value.lossy()).unwrap_or_default();
    listed(&text).into_iter()
}

/// The names of a list as `envsubst` finds them, wherever they stand in it; and words without any.
pub fn listed(text: &str) -> Vec<Result<String, String>> {
    let mut found = Vec::new();
    for word in text.split_ascii_whitespace() {
        let starts = word.match_indices('$').filter_map(|(at, _)| reference(&word.as_bytes()[at..]));
        let names: Vec<_> = starts.map(|(name, _)| Ok(name.to_owned())).collect();
        if names.is_empty() {
            found.push(Err(word.to_owned()));
        }
        found.extend(names);
    }
    found
}

/// Replaces `$NAME` and `${NAME}` of these names, byte for byte as `envsubst` does; a name without
/// value becomes nothing, and nothing else is touched.
pub fn substitute<'a>(text: &[u8], names: &BTreeSet<String>, value: &dyn Fn(&str) -> Option<&'a [u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| *b == b'$') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        match reference(rest).filter(|(name, _)| names.contains(*name)) {
            Some((name, length)) => {
                out.extend_from_slice(value(name).unwrap_or_default());
                rest = &rest[length..];
            }
            None => {
                out.push(b'$');
                rest = &rest[1..];
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

/// The name at the start of a text that begins with `$`, and the bytes that the reference takes.
fn reference(text: &[u8]) -> Option<(&str, usize)> {
    let braced = text.get(1) == Some(&b'{');
    let start = if braced { 2 } else { 1 };
    let rest = text.get(start..)?;
    let length = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_')).unwrap_or(rest.len());
    let name = std::str::from_utf8(&rest[..length]).ok().filter(|name| is_name(name))?;
    if braced && rest.get(length) != Some(&b'}') {
        return None;
    }
    Some((name, start + length + usize::from(braced)))
}

impl Loaded {
    /// The template that a file is made from, if it is made from one.
    pub fn template_of(&self, target: &std::path::Path) -> Option<&Template> {
        self.templates.iter().find(|template| template.target == target)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;
    use crate::config::probe::Gathered;

    fn collected(pairs: &[(&str, &str)]) -> Collected {
        let mut collected = Collected { env_local: "/e".into(), ..Default::default() };
        for (name, value) in pairs {
            let value = Text::Utf8((*value).to_owned());
            collected.values.insert((*name).to_owned(), Gathered::new(value, "/e"));
        }
        collected
    }

    fn render(pairs: &[(&str, &str)], text: &str) -> String {
        String::from_utf8(Renderer::of(&collected(pairs)).render(text.as_bytes())).unwrap()
    }

    #[test]
    fn only_listed_names_are_replaced() {
        let pairs = [("VARS", "$A"), ("OPTIONAL_VARS", "${B}\n$NONE"), ("A", "a"), ("B", "b"), ("host", "x")];
        for (text, expected) in [
            ("$A ${A} $B$host ${host}", "a a b$host ${host}"),
            ("[$NONE]", "[]"),
            ("$AB ${A $A} ${A:-x} \\$A $$A $", "$AB ${A a} ${A:-x} \\a $a $"),
        ] {
            assert_eq!(render(&pairs, text), expected, "{text}");
        }
    }

    #[test]
    fn values_are_rendered_by_the_second_pass_only() {
        let pairs = [("VARS", "$A"), ("OPTIONAL_VARS", "$B $C"), ("A", "<$B$A>"), ("B", "[$A$C]"), ("C", "c")];
        assert_eq!(render(&pairs, "$A $B"), "<[$A$C]$A> [$A$C]");
    }

    #[test]
    fn an_old_name_is_replaced_where_the_new_one_is_listed() {
        let pairs = [("VARS", "$BIRDHOUSE_LOG_DIR"), ("BIRDHOUSE_LOG_DIR", "/l")];
        assert_eq!(render(&pairs, "$PAVICS_LOG_DIR"), "/l");
    }

    #[test]
    fn jobs_that_a_variable_defines_are_not_rendered_into_files() {
        let all = collected(&[("VARS", "$A"), ("A", "a"), ("AUTODEPLOY_EXTRA_SCHEDULER_JOBS", "- name: x")]);
        let text = b"- $A $B\n${AUTODEPLOY_EXTRA_SCHEDULER_JOBS}\n$BIRDHOUSE_AUTODEPLOY_EXTRA_SCHEDULER_JOBS\n";
        assert_eq!(Renderer::for_jobs(&all).render(text), b"- a $B\n\n\n");
        assert_eq!(Renderer::of(&all).render(text), [b"- a", &text[4..]].concat());
    }

    #[test]
    fn what_is_listed_badly_or_not_set_is_said() {
        let mut all = collected(&[("VARS", "$A $B$ PLAIN $1 $A"), ("OPTIONAL_VARS", "$C ${D"), ("A", "a"), ("B", "")]);
        all.listed.insert("B".to_owned(), "/conf/default.env".to_owned());
        let said = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            said(unset(&all)),
            [
                "error: /conf/default.env: VARS: required variable B is not set; set it in /e; no deploy goes on without it"
            ]
        );
        assert_eq!(malformed(&all).len(), 3, "{:?}", said(malformed(&all)));
    }

    #[test]
    fn bytes_that_are_no_text_survive() {
        let names = ["A".to_owned()].into();
        let value = |_: &str| Some(&b"\xff\0"[..]);
        assert_eq!(substitute(b"\xfe$A\0${A}\xfd", &names, &value), b"\xfe\xff\0\0\xff\0\xfd");
    }

    /// What the real program makes of it.
    fn envsubst(text: &[u8], list: &str, value: &[u8]) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        let mut child = Command::new("envsubst")
            .arg(list)
            .env("A", std::ffi::OsStr::from_bytes(value))
            .env_remove("B_1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("envsubst is needed: deployment/test installs it");
        child.stdin.take().unwrap().write_all(text).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success());
        done.stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        #[test]
        fn as_envsubst_does_it(
            text in "([$][{]?(A|B_1|AB|host|[0-9]|é|)[}]?|[${}A_ \n\\x00:-]|\\PC){0,40}",
            junk in prop::collection::vec(any::<u8>(), 0..8),
            value in prop::collection::vec(1..=255_u8, 0..12),
        ) {
            let text = [text.as_bytes(), &junk, b"$A${A}$"].concat();
            for list in ["$A", "$A $B_1", "${B_1}", "$A$", "x$B_1,${A}"] {
                let names: BTreeSet<String> = listed(list).into_iter().flatten().collect();
                let look = |name: &str| (name == "A").then_some(value.as_slice());
                prop_assert_eq!(substitute(&text, &names, &look), envsubst(&text, list, &value));
            }
        }
    }
}
