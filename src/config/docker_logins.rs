//! The registry logins that `SCHEDULER_DOCKER_CONFIG` names. Only a probe sees the file: its text is a
//! secret that goes with what was collected.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Problem;
use super::aliases::choose;
use super::conf_dir::absolute;
use super::probe::{Collected, Text};

const NAME: &str = "SCHEDULER_DOCKER_CONFIG";

/// What every docker program calls the file.
const FILE: &str = "config.json";

/// A file with logins is small.
const LIMIT: u64 = 1 << 20;

/// The file as it was found. Has no `Debug`: it holds passwords.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginFile {
    /// Its path.
    pub path: PathBuf,
    /// Its text.
    pub text: Text,
}

/// Reads the file that is named, or the one in the folder that is.
pub fn gather(collected: &mut Collected) {
    let Some((_, named)) = choose(collected, NAME, None, &mut Vec::new()) else { return };
    let (source, path) = (named.source.clone(), absolute(&collected.compose_dir, named.value.lossy()));
    let file = if path.is_dir() { path.join(FILE) } else { path };
    let mut bytes = Vec::new();
    let read = fs::File::open(&file).and_then(|f| f.take(LIMIT + 1).read_to_end(&mut bytes));
    let message = match read {
        Ok(n) if n as u64 > LIMIT => "is larger than 1 MiB".to_owned(),
        Ok(_) if !file.ends_with(FILE) => format!("is not called {FILE}, as compose wants it"),
        Ok(_) => {
            collected.logins = Some(LoginFile { path: file, text: Text::from(bytes) });
            return;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    let problem = Problem::error(source, message).at(NAME, &file.display().to_string());
    collected
        .problems
        .push(problem.hint("`docker --config FOLDER login REGISTRY` writes a folder that can be named here"));
}

/// Reports what keeps the logins from being used: not even a damaged file is quoted.
pub fn check(collected: &Collected, problems: &mut Vec<Problem>) {
    let Some(logins) = &collected.logins else { return };
    let mut refused = |key: &str, message: String, hint: &str| {
        problems.push(Problem::error(logins.path.display().to_string(), message).at_name(key).hint(hint));
    };
    let document: Value = match serde_json::from_str(&logins.text.lossy()) {
        Ok(document) => document,
        Err(error) => {
            let place = format!("is no JSON, from line {}, column {} on", error.line(), error.column());
            return refused(NAME, place, "`docker login` writes it anew");
        }
    };
    let hint = "logins must stand in the file itself: take the entry out of a copy of it, and run \
                `docker --config FOLDER login REGISTRY` for the folder of that copy";
    if let Some(helper) = document.get("credsStore").and_then(Value::as_str).filter(|helper| !helper.is_empty()) {
        refused("credsStore", format!("needs the program docker-credential-{helper}, which is not here"), hint);
    }
    for (registry, helper) in document.get("credHelpers").and_then(Value::as_object).into_iter().flatten() {
        let helper = helper.as_str().unwrap_or_default();
        let message =
            format!("the login for {registry} needs the program docker-credential-{helper}, which is not here");
        refused("credHelpers", message, hint);
    }
}
