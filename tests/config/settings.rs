//! What each setting takes, and what is said of a value that it does not take.

use std::fs;
use std::time::Duration;

use tender::config::{LegacyJobs, Loaded, Settings, Templates};
use tender::job::Action;

use crate::house::{Stack, problems};

fn loaded(env_local: &str) -> Loaded {
    let stack = Stack::new("plain");
    fs::write(stack.dir.join("env.local"), env_local).unwrap();
    stack.load()
}

/// Without any problem.
fn good(env_local: &str) -> Settings {
    let loaded = loaded(env_local);
    assert_eq!(problems(&loaded), "", "{env_local}");
    loaded.settings
}

/// What is said, without where.
fn said(env_local: &str) -> String {
    let loaded = loaded(env_local);
    let lines = loaded.problems.iter().map(|p| {
        let (key, value) = (p.key.as_deref().unwrap_or_default(), p.value.as_deref().unwrap_or_default());
        let more = [&p.expected, &p.hint, &p.note].map(|text| text.as_deref().unwrap_or_default());
        format!("{key}={value} {}; {}\n", p.message, more.join("; "))
    });
    lines.collect::<String>().trim_end().to_owned()
}

#[test]
fn switches_and_choices() {
    let plain = good("");
    assert!(!plain.job_hardened && !plain.host_jobs && !plain.job_proxy && !plain.revive);
    assert_eq!((plain.legacy_jobs, plain.templates), (LegacyJobs::TakeOver, Templates::Render));
    assert_eq!(plain.config_poll, Some(Duration::from_secs(600)));
    assert!(good("SCHEDULER_JOB_HARDENED=True").job_hardened);
    assert!(good("SCHEDULER_HOST_JOBS=yes").host_jobs);
    assert!(good("SCHEDULER_JOB_PROXY=1").job_proxy);
    assert!(good("SCHEDULER_REVIVE=true").revive);
    assert_eq!(good("SCHEDULER_LEGACY_JOBS=keep").legacy_jobs, LegacyJobs::Keep);
    assert_eq!(good("BIRDHOUSE_COMPOSE_TEMPLATE_SKIP=true").templates, Templates::Skip);
    assert_eq!(good("BIRDHOUSE_COMPOSE_TEMPLATE_FORCE=true").templates, Templates::Force);
    assert_eq!(good("SCHEDULER_CONFIG_POLL=0").config_poll, None);
    assert_eq!(good("SCHEDULER_CONFIG_POLL=1h").config_poll, Some(Duration::from_secs(3600)));
}

#[test]
fn values_that_are_refused() {
    for (line, expected) in [
        (
            "SCHEDULER_JOB_HARDENED=maybe",
            "SCHEDULER_JOB_HARDENED=maybe is not understood; true or false; ; the default false holds until it is mended",
        ),
        (
            "SCHEDULER_LEGACY_JOBS=drop",
            "SCHEDULER_LEGACY_JOBS=drop is not understood; take-over or keep; ; the default take-over holds until it is mended",
        ),
        (
            "SCHEDULER_CONFIG_POLL=soon",
            "SCHEDULER_CONFIG_POLL=soon is not understood; a duration such as 90s, 5m or 1h30m; ; the default 10m holds until it is mended",
        ),
        (
            "BIRDHOUSE_COMPOSE_TEMPLATE_SKIP=true; BIRDHOUSE_COMPOSE_TEMPLATE_FORCE=true",
            "BIRDHOUSE_COMPOSE_TEMPLATE_FORCE=true has no effect beside BIRDHOUSE_COMPOSE_TEMPLATE_SKIP; ; ;",
        ),
    ] {
        assert_eq!(said(line), expected.trim_end(), "{line}");
    }
}

/// The jobs of a variable.
fn jobs(more: &str, definition: &str) -> Loaded {
    loaded(&format!("{more}\nBIRDHOUSE_AUTODEPLOY_EXTRA_SCHEDULER_JOBS='{definition}'"))
}

#[test]
fn a_legacy_job_of_a_built_in_name_can_be_kept() {
    let text = "- {name: logrotate, schedule: \"@daily\", image: img, command: \"logrotate -v /c\"}";
    let action = |more: &str| jobs(more, text).job("logrotate").unwrap().action.clone();
    assert!(matches!(action(""), Action::Builtin(_)));
    let Action::Run(spec) = action("SCHEDULER_LEGACY_JOBS=keep") else { panic!("is taken over") };
    assert_eq!((spec.image.as_str(), spec.command.join(" ").as_str()), ("img", "logrotate -v /c"));
}

#[test]
fn jobs_are_hardened_where_the_setting_says_so() {
    let hardened = |more: &str, keys: &str| {
        let loaded = jobs(more, &format!("- {{name: j, schedule: \"@daily\", image: img, command: x{keys}}}"));
        let Some(Action::Run(spec)) = loaded.job("j").map(|job| job.action.clone()) else { return None };
        Some(spec.read_only && spec.cap_drop == ["ALL"] && spec.security_opt == ["no-new-privileges:true"])
    };
    let on = "SCHEDULER_JOB_HARDENED=true";
    assert_eq!(hardened("", ""), Some(false));
    assert_eq!(hardened("", ", hardened: true"), Some(true));
    assert_eq!(hardened(on, ""), Some(true));
    assert_eq!(hardened(on, ", hardened: false"), Some(false));
    assert_eq!(hardened(on, ", hardened: false, privileged: true"), Some(false));
    assert_eq!(hardened(on, ", privileged: true"), None, "it says neither");
}

#[test]
fn authorities_are_in_a_file_of_certificates() {
    let stack = Stack::new("plain");
    fs::write(stack.dir.join("ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    fs::write(stack.dir.join("key.pem"), "-----BEGIN PRIVATE KEY-----\nhunter2\n").unwrap();
    for (name, expected) in [
        ("ca.pem", None),
        ("key.pem", Some("holds no certificate in PEM form")),
        ("none.pem", Some("there is no such file")),
    ] {
        fs::write(stack.dir.join("env.local"), format!("SCHEDULER_CA_FILE=$COMPOSE_DIR/{name}")).unwrap();
        let loaded = stack.load();
        let said = problems(&loaded);
        assert_eq!(loaded.settings.ca_file.is_some(), expected.is_none(), "{said}");
        assert!(expected.map_or(said.is_empty(), |e| said.contains(e)) && !said.contains("hunter2"), "{said}");
        assert_eq!(loaded.files.contains(&stack.dir.join(name)), !name.starts_with("none"), "a change is noticed");
    }
}
