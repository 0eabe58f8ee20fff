//! Files of `NAME=value` lines, which jobs name as `env_file` or `--env-file`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::conf_dir::absolute;
use super::expand::{self, Lookup};
use super::job_file::{definitions, documents, job_texts};
use super::probe::Collected;
use super::yaml::Node;
use super::{gather, words};

/// Reads all such files that the job files name.
pub fn gather(collected: &mut Collected) {
    for path in named(collected) {
        gather::read(collected, &path, true);
    }
}

fn named(collected: &Collected) -> Vec<PathBuf> {
    let lookup = |name: &str| collected.values.get(name).map(|g| g.value.lossy());
    let mut paths = Vec::new();
    // Mistakes are reported when the jobs are made.
    for text in job_texts(collected, &mut Vec::new()) {
        let documents = documents(&text, &mut Vec::new());
        for definition in definitions(&text, &documents, &mut Vec::new()) {
            of_node(definition.node, 0, &mut |path| {
                paths.push(absolute(&collected.compose_dir, expand::plain(path, &lookup).0));
            });
        }
    }
    paths
}

fn of_node(node: &Node, depth: u8, found: &mut impl FnMut(&str)) {
    for file in node.get("env_file").map(Node::items).unwrap_or_default() {
        file.text().into_iter().for_each(&mut *found);
    }
    let arguments = node.get("dockerargs").and_then(Node::text).and_then(|t| words::words(t).ok()).unwrap_or_default();
    let mut arguments = arguments.iter();
    while let Some(word) = arguments.next() {
        match word.strip_prefix("--env-file") {
            Some("") => arguments.next().into_iter().for_each(|path| found(path)),
            Some(rest) => rest.strip_prefix('=').into_iter().for_each(&mut *found),
            None => {}
        }
    }
    for nested in ["trigger", "on_success", "on_failure", "always", "run", "exec", "service-run", "host"] {
        for item in node.get(nested).map(Node::items).unwrap_or_default() {
            if depth < 3 {
                of_node(item, depth + 1, found);
            }
        }
    }
}

/// The pairs of such a file, as `docker run --env-file` reads it: no quotes, `#` begins a comment
/// line, a bare name takes the value of the variable.
pub fn pairs(text: &str, lookup: Lookup<'_>) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for line in text.lines().map(str::trim_start).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.split_once('=') {
            Some((name, value)) => {
                pairs.insert(name.to_owned(), value.to_owned());
            }
            None => {
                if let Some(value) = lookup(line.trim_end()) {
                    pairs.insert(line.trim_end().to_owned(), value);
                }
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_env_file() {
        let found =
            pairs("# c\nA=1 # no comment\n\n B='q'\nKNOWN\nUNKNOWN\nE=\n", &|n| (n == "KNOWN").then(|| "k".to_owned()));
        let shown: Vec<String> = found.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(shown, ["A=1 # no comment", "B='q'", "E=", "KNOWN=k"]);
    }
}
