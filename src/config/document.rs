//! Documents for people and tools: stable shapes, secrets masked.

use serde_json::{Map, Value, json};

use super::masking::Masking;
use super::setting::Setting;
use super::{Loaded, Problem};

/// `config --json`.
pub fn config_document(loaded: &Loaded) -> Value {
    let mut settings = Map::new();
    let masking = Masking::of(&loaded.environment);
    for (name, sourced) in &loaded.values {
        let Some(setting) = Setting::find(name) else { continue };
        // A default stands under the new name only where the old one is not set either.
        let set_as_old = setting.old.is_some_and(|old| old != name && loaded.values.contains_key(old));
        if sourced.source == "default" && set_as_old {
            continue;
        }
        let mut entry = json!({ "value": masking.masked(&setting.shown(&sourced.value)), "source": sourced.source });
        if let Some(file) = &sourced.frozen {
            entry["frozen"] = json!(file);
        }
        settings.insert(name.clone(), entry);
    }
    json!({
        "compose_dir": loaded.settings.compose_dir,
        "checkouts": loaded.settings.checkouts,
        "conf_dirs": loaded.conf_dirs,
        "compose_files": loaded.compose_files,
        "settings": settings,
        "problems": loaded.problems,
    })
}

/// `check --json`.
pub fn problems_document(problems: &[Problem]) -> Value {
    json!({ "problems": problems })
}
