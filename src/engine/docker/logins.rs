//! Registry logins from a `config.json`, as `docker login` writes it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde_json::Value;

use crate::secret::Secret;

/// The key under which `docker login` keeps Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

/// Where logins come from.
#[derive(Clone, Default)]
pub(super) enum Logins {
    /// There are none.
    #[default]
    None,
    /// A folder, or the file itself; read at each pull.
    In(PathBuf),
    /// The text of the file.
    Text(Secret<String>),
}

impl Logins {
    /// The login for the registry of an image; `None` without one.
    pub(super) fn login(&self, image: &str) -> Result<Option<DockerCredentials>, String> {
        match self {
            Self::None => Ok(None),
            Self::In(path) => of(path, image),
            Self::Text(text) => find(text.expose(), image).map_err(|error| format!("registry logins: {error}")),
        }
    }
}

fn of(path: &Path, image: &str) -> Result<Option<DockerCredentials>, String> {
    let path = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    let about = |what: &dyn std::fmt::Display| format!("registry logins in {}: {what}", path.display());
    match std::fs::read_to_string(&path) {
        Ok(text) => find(&text, image).map_err(|error| about(&error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(about(&error)),
    }
}

fn find(text: &str, image: &str) -> Result<Option<DockerCredentials>, String> {
    let document: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let registry = registry(image);
    let same = |key: &str| {
        let key = key.trim_start_matches("https://").trim_start_matches("http://");
        key.split('/').next() == Some(registry)
    };
    let Some(auths) = document.get("auths").and_then(Value::as_object) else { return Ok(None) };
    let found = match registry {
        "docker.io" => auths.get_key_value(HUB).or_else(|| auths.iter().find(|(key, _)| same(key))),
        _ => auths.iter().find(|(key, _)| same(key)),
    };
    let Some((address, entry)) = found else { return Ok(None) };
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|v| !v.is_empty()).map(str::to_owned);
    let mut login = DockerCredentials {
        username: text("username"),
        password: text("password"),
        identitytoken: text("identitytoken"),
        serveraddress: Some(address.clone()),
        ..DockerCredentials::default()
    };
    if let Some(auth) = text("auth") {
        let pair = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = pair
            .as_deref()
            .and_then(|pair| pair.split_once(':'))
            .ok_or_else(|| format!("the entry {address} is damaged; `docker login` writes it anew"))?;
        (login.username, login.password) = (Some(user.to_owned()), Some(password.to_owned()));
    }
    Ok((login.username.is_some() || login.identitytoken.is_some()).then_some(login))
}

/// The registry of an image: its first part, when that looks like a host.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_of_the_right_registry() {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            r#"{{"auths":{{"{HUB}":{{"auth":"aHViOnB3"}},"https://reg.example:5000/v2/":{{"auth":"dTpwOnE="}},
                "empty.example":{{}},"bad.example":{{"auth":"%%"}}}}}}"#
        );
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        let user = |image: &str| {
            let login = of(dir.path(), image).unwrap();
            login.map(|l| (l.username.unwrap(), l.password.unwrap()))
        };
        let pair = |u: &str, p: &str| Some((u.to_owned(), p.to_owned()));
        assert_eq!(user("busybox"), pair("hub", "pw"));
        assert_eq!(user("docker.io/library/busybox"), pair("hub", "pw"));
        assert_eq!(user("reg.example:5000/a/b:1"), pair("u", "p:q"));
        assert_eq!(user("other.example/a"), None);
        assert_eq!(user("empty.example/a"), None);
        assert!(of(dir.path(), "bad.example/a").unwrap_err().contains("docker login"));
        assert_eq!(of(&dir.path().join("absent"), "busybox"), Ok(None));
    }
}
