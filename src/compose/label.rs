//! What compose writes on its containers.

use std::collections::BTreeMap;

/// The labels of a container, as `inspect` shows them.
pub type Labels = BTreeMap<String, String>;

/// Name of the project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Name of the service.
pub const SERVICE: &str = "com.docker.compose.service";
/// Hash of the service's configuration.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// `True` for containers of `run`.
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// Which container of its service it is, from 1.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// v2: id of the container that this one is to replace.
pub const REPLACE: &str = "com.docker.compose.replace";

/// The hash of the configuration that it was created from.
pub fn hash_of(labels: &Labels) -> Option<&str> {
    labels.get(CONFIG_HASH).map(String::as_str).filter(|hash| !hash.is_empty())
}

/// The service that it belongs to.
pub fn service_of(labels: &Labels) -> Option<&str> {
    labels.get(SERVICE).map(String::as_str)
}

/// Whether it came from `run`, not from `up`.
pub fn is_oneoff(labels: &Labels) -> bool {
    labels.get(ONEOFF).is_some_and(|word| word.eq_ignore_ascii_case("true"))
}

/// Which container of its service it is, from 1.
pub fn number_of(labels: &Labels) -> Option<u32> {
    labels.get(NUMBER)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_of_compose_are_read() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let up = labels(&[(SERVICE, "web"), (CONFIG_HASH, "00ff"), (ONEOFF, "False"), (NUMBER, "2")]);
        assert_eq!(
            (service_of(&up), hash_of(&up), is_oneoff(&up), number_of(&up)),
            (Some("web"), Some("00ff"), false, Some(2))
        );
        let run = labels(&[(SERVICE, "web"), (ONEOFF, "True"), (CONFIG_HASH, "")]);
        assert_eq!((hash_of(&run), is_oneoff(&run), number_of(&run)), (None, true, None));
    }
}
