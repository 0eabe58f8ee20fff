//! The proxies in the environment of compose.

use crate::config::Settings;
use crate::secret::Environment;

/// Adds the proxies. Programs would look for an engine that is no socket behind them, too: its host
/// is among those that are reached without one.
pub(super) fn add(env: &mut Environment, settings: &Settings) {
    env.0.extend(settings.proxies.0.clone());
    let Some(engine) = settings.docker_host.as_deref().and_then(host) else { return };
    for name in ["NO_PROXY", "no_proxy"] {
        let list = env.0.entry(name.to_owned()).or_default();
        let comma = if list.is_empty() { "" } else { "," };
        list.push_str(&format!("{comma}{engine}"));
    }
}

/// The host in the address of an engine that is no socket.
fn host(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    let place = rest.split('/').next()?;
    let host = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => place,
    };
    (scheme != "unix" && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_engine_is_never_behind_a_proxy() {
        for (docker_host, before, expected) in [
            (Some("tcp://proxy:2375"), Some("a.example"), Some("a.example,proxy")),
            (Some("tcp://[::1]:2375/v1"), None, Some("[::1]")),
            (Some("http://engine"), None, Some("engine")),
            (Some("unix:///run/docker.sock"), Some("a"), Some("a")),
            (None, None, None),
        ] {
            let proxies = before.map(|list| ("NO_PROXY".to_owned(), list.to_owned()));
            let settings = Settings {
                docker_host: docker_host.map(str::to_owned),
                proxies: Environment(proxies.into_iter().collect()),
                ..Settings::defaults(Path::new("/stack"))
            };
            let mut env = Environment::default();
            add(&mut env, &settings);
            assert_eq!(env.0.get("NO_PROXY").map(String::as_str), expected, "{docker_host:?}");
        }
    }
}
