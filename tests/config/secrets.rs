//! Settings that hold a secret, given as such or in a file of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tender::config::{Loaded, config_document, problems_document};

use crate::house::{Stack, problems};

const PLANTED: &str = "hunter2hunter2";

/// A stack whose `env.local` says this, with the files `secret` and `open`.
fn loaded(env_local: &str) -> (Stack, Loaded) {
    let stack = Stack::new("plain");
    for (name, mode) in [("secret", 0o600), ("open", 0o644)] {
        let path = stack.dir.join(name);
        fs::write(&path, format!("http://me:{PLANTED}@proxy:3128\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(stack.dir.join("env.local"), env_local).unwrap();
    let loaded = stack.load();
    let shown = format!("{loaded:?} {} {}", config_document(&loaded), problems_document(&loaded.problems));
    assert!(!shown.contains(PLANTED), "{env_local}: {shown}");
    (stack, loaded)
}

#[test]
fn a_secret_comes_from_its_file() {
    for env_local in ["HTTPS_PROXY_FILE=secret", "https_proxy_FILE=$COMPOSE_DIR/secret"] {
        let (stack, loaded) = loaded(env_local);
        assert_eq!(problems(&loaded), "");
        let proxy = &loaded.settings.proxies.0["HTTPS_PROXY"];
        assert_eq!(*proxy, format!("http://me:{PLANTED}@proxy:3128"), "without the end of the line");
        assert!(loaded.files.contains(&stack.dir.join("secret")), "a new secret takes effect by itself");
        let document = config_document(&loaded);
        let name = env_local.split("_FILE").next().unwrap();
        assert_eq!(document["settings"][name]["value"], "http://***@proxy:3128");
        assert_eq!(document["settings"][name]["source"].as_str(), stack.dir.join("secret").to_str());
    }
}

#[test]
fn a_value_and_a_file_are_one_too_many() {
    let (_, loaded) = loaded(&format!("HTTPS_PROXY=http://me:{PLANTED}@proxy; HTTPS_PROXY_FILE=secret"));
    let said = problems(&loaded);
    assert!(
        said.contains("error") && said.contains("HTTPS_PROXY_FILE and HTTPS_PROXY are both set; neither holds"),
        "{said}"
    );
    assert!(loaded.settings.proxies.0.is_empty());
}

#[test]
fn a_file_that_cannot_be_used_is_an_error() {
    for (value, expected) in [("none", "does not exist"), (".", "is a folder"), ("env.local/x", "cannot be read")] {
        let (_, loaded) = loaded(&format!("HTTPS_PROXY_FILE={value}"));
        let said = problems(&loaded);
        assert!(said.starts_with("error") && said.contains("HTTPS_PROXY_FILE") && said.contains(expected), "{said}");
        assert!(loaded.settings.proxies.0.is_empty());
    }
}

#[test]
fn a_file_that_everybody_can_read_is_used_with_a_warning() {
    let (_, loaded) = loaded("HTTPS_PROXY_FILE=open");
    let said = problems(&loaded);
    assert!(said.starts_with("warning") && said.contains("everybody can read"), "{said}");
    assert!(loaded.settings.proxies.0.contains_key("https_proxy"));
}

#[test]
fn a_setting_whose_name_ends_like_a_file_is_no_file_of_another() {
    let (_, loaded) = loaded("BIRDHOUSE_BACKUP_RESTIC_ENV_FILE=/srv/restic.env");
    assert_eq!(loaded.problems.len(), 1, "only that it has no effect yet: {}", problems(&loaded));
}

#[test]
fn tokens_of_later_versions_are_no_secret_less() {
    let (_, loaded) = loaded(&format!(
        "SCHEDULER_HEARTBEAT_URL=https://ping.example.org/{PLANTED}; SCHEDULER_NOTIFY=ntfy://{PLANTED}"
    ));
    let said = problems(&loaded);
    assert!(said.contains("SCHEDULER_HEARTBEAT_URL has no effect in this version (\"***\")"), "{said}");
}

#[test]
fn registry_logins_go_along_and_are_shown_nowhere() {
    let stack = Stack::new("plain");
    let file = stack.dir.join("logins/config.json");
    fs::create_dir(stack.dir.join("logins")).unwrap();
    for (text, expected) in [
        (format!(r#"{{"auths":{{"reg.example":{{"auth":"{PLANTED}"}}}}}}"#), None),
        (format!("{{\"{PLANTED}\": x"), Some("is no JSON, from line 1")),
        (r#"{"credsStore":"pass"}"#.to_owned(), Some("docker-credential-pass")),
        (r#"{"credHelpers":{"gcr.io":"gcloud"}}"#.to_owned(), Some("the login for gcr.io needs the program")),
    ] {
        fs::write(&file, &text).unwrap();
        for named in ["logins", "logins/config.json"] {
            let env_local = format!("SCHEDULER_DOCKER_CONFIG=$COMPOSE_DIR/{named}");
            fs::write(stack.dir.join("env.local"), env_local).unwrap();
            let loaded = stack.load();
            let said = problems(&loaded);
            assert_eq!(loaded.logins.as_ref().map(|logins| logins.expose()), Some(&text));
            assert!(expected.map_or(said.is_empty(), |e| said.starts_with("error") && said.contains(e)), "{said}");
            assert!(loaded.files.contains(&file), "a new login takes effect by itself");
            let shown = format!("{loaded:?} {} {said}", config_document(&loaded));
            assert!(!shown.contains(PLANTED), "{shown}");
        }
    }
    fs::rename(&file, stack.dir.join("logins/mine.json")).unwrap();
    for (named, expected) in [("logins/mine.json", "is not called config.json"), ("logins", "does not exist")] {
        fs::write(stack.dir.join("env.local"), format!("SCHEDULER_DOCKER_CONFIG=$COMPOSE_DIR/{named}")).unwrap();
        let said = problems(&stack.load());
        assert!(said.starts_with("error") && said.contains(expected) && said.contains("docker --config"), "{said}");
    }
}
