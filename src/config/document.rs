//! Documents for people and tools: stable shapes, secrets masked.

use serde_json::{Map, Value, json};

use super::setting::{self, Setting};
use super::{Loaded, Masking, Problem, Sourced};

/// `config --json`.
pub fn config_document(loaded: &Loaded) -> Value {
    json!({
        "compose_dir": loaded.settings.compose_dir,
        "checkouts": loaded.settings.checkouts,
        "conf_dirs": loaded.conf_dirs,
        "compose_files": loaded.compose_files,
        "settings": values(loaded, true),
        "problems": loaded.problems.iter().map(problem_document).collect::<Vec<_>>(),
    })
}

/// The variables that are no settings.
pub fn variables_document(loaded: &Loaded) -> Value {
    values(loaded, false)
}

/// Settings, or all other variables.
fn values(loaded: &Loaded, settings: bool) -> Value {
    let masking = loaded.masking();
    let mut entries = Map::new();
    for (name, sourced) in loaded.values.iter().filter(|(_, sourced)| !sourced.mapped) {
        let setting = Setting::find(name);
        // A default stands under the new name only where the old one is not set either.
        let old = setting.and_then(|s| s.old).filter(|old| old != name);
        let set_as_old = sourced.source == "default" && old.is_some_and(|old| loaded.values.contains_key(old));
        if setting.is_some() == settings && !set_as_old {
            entries.insert(name.clone(), value(name, sourced, &masking));
        }
    }
    Value::Object(entries)
}

fn value(name: &str, sourced: &Sourced, masking: &Masking) -> Value {
    let shown = setting::shown(name, &sourced.value);
    // A path is no secret, even where a folder is called like somebody's password.
    let path = shown.starts_with('/') && !shown.contains([' ', '\n', '=', '?', '@']);
    let shown = if path { shown } else { masking.masked_source(&shown) };
    let (source, line) = match &sourced.written {
        Some(written) => (written.file.display().to_string(), Some(written.line)),
        None => (sourced.source.clone(), None),
    };
    json!({ "value": shown, "source": source, "line": line, "frozen": sourced.frozen })
}

/// `check --json`.
pub fn problems_document<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> Value {
    json!({ "problems": problems.into_iter().map(problem_document).collect::<Vec<_>>() })
}

fn problem_document(problem: &Problem) -> Value {
    let place = problem.origin.place;
    json!({
        "severity": problem.severity,
        "origin": problem.origin,
        "file": Some(&problem.origin.name).filter(|name| name.starts_with('/')),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column).filter(|column| *column > 0),
        "text": problem.excerpt.as_ref().map(|excerpt| &excerpt.text),
        "job": problem.job,
        "key": problem.key,
        "value": problem.value,
        "message": problem.title(),
        "expected": problem.expected,
        "hint": problem.hint,
        "note": problem.note,
    })
}
