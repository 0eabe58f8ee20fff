//! Arrows point down: each room imports from lower layers only, and each outside system is
//! touched in one room.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a source that cannot be read fails them")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the top to the bottom; rooms of one layer do not know each other.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["daemon", "builtin"],
    &["handover", "web", "scheduler", "runner"],
    &["config", "compose", "engine", "git", "http", "store", "journal"],
    &["run"],
    &["job"],
    &["schedule"],
    &["secret", "nearest", "crash"],
];

/// Crate → the rooms that may name it.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("bollard", &["engine"]),
    ("base64", &["engine"]),
    ("git2", &["git"]),
    ("ssh2", &["git"]),
    ("ssh_key", &["git"]),
    ("hmac", &["git"]),
    ("sha1", &["git"]),
    ("rusqlite", &["store"]),
    ("tokio_cron_scheduler", &["scheduler"]),
    ("envy", &["config"]),
    ("serde_saphyr", &["config", "compose", "builtin"]),
    ("axum", &["web"]),
    ("reqwest", &["web", "http"]),
    ("rustls", &["web", "http"]),
    ("shlex", &["compose"]),
    ("crc32fast", &["runner"]),
    ("flate2", &["runner", "builtin"]),
    ("tokio_util", &["runner"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("tabled", &["cli"]),
    ("annotate_snippets", &["cli"]),
    ("strsim", &["nearest"]),
    ("tracing_subscriber", &["cli"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn room_of(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    below.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Names that follow `crate::` (or `tender::`) in a text, those in braces included.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
        for prefix in ["crate::", "tender::"] {
            for (at, _) in line.match_indices(prefix) {
                let rest = &line[at + prefix.len()..];
                let names: Vec<&str> = match rest.strip_prefix('{') {
                    Some(list) => list.split(['}', ';']).next().unwrap_or("").split(',').collect(),
                    None => vec![rest],
                };
                for name in names {
                    let name: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    if !name.is_empty() {
                        named.insert(name);
                    }
                }
            }
        }
    }
    named
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn arrows_point_down() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let room = room_of(&path);
        if room == "lib" {
            continue;
        }
        let own = layer(&room).unwrap_or_else(|| panic!("{} is in no layer", path.display()));
        let text = fs::read_to_string(&path).unwrap();
        for named in rooms_named(&text) {
            let Some(other) = layer(&named) else { continue };
            if named != room && other <= own {
                wrong.push(format!("{}: {room} imports {named}", path.display()));
            }
        }
        for (name, rooms) in OUTSIDE {
            if text.contains(&format!("{name}::")) && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{}: {name} belongs to {rooms:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_test_sees_imports() {
    let named = rooms_named("use crate::{job, run};\nlet x = crate::store::open();\n// crate::web\n");
    assert_eq!(named, ["job", "run", "store"].map(str::to_owned).into());
}
