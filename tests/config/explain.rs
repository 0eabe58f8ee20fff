//! What `tender explain` and `tender jobs --json` say about jobs.

use serde_json::Value;

use crate::diagnostics::said;
use crate::house::Stack;

/// Without the instants to come and the version.
fn lasting(text: &str) -> String {
    let due = |line: &&str| !(line.ends_with("+00:00") && line.contains("-"));
    let lines: Vec<&str> = text.lines().filter(due).collect();
    lines.join("\n").replace(concat!("tender:", env!("CARGO_PKG_VERSION")), "[OWN IMAGE]")
}

#[test]
fn a_job_in_plain_words() {
    let stack = Stack::new("explain");
    for job in ["backup", "reload", "logrotate"] {
        let (text, code) = said(&stack, &["explain", job]);
        assert_eq!(code, Some(0), "{text}");
        assert!(!text.contains("planted-secret"), "{text}");
        insta::assert_snapshot!(format!("explain_{job}"), lasting(&text));
    }
}

#[test]
fn the_document_of_an_explanation_is_that_of_the_job() {
    let stack = Stack::new("explain");
    let document = |args: &[&str]| -> Value {
        let (text, code) = said(&stack, args);
        assert_eq!(code, Some(0), "{text}");
        assert!(!text.contains("planted-secret"), "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let jobs = document(&["jobs", "--json"]);
    for job in jobs.as_array().unwrap() {
        let mut explained = document(&["explain", job["name"].as_str().unwrap(), "--json"]);
        let explanation = explained.as_object_mut().unwrap().remove("explanation").unwrap();
        assert!(explanation["next"].as_array().unwrap().len() <= 3);
        for key in ["when", "what", "after_success", "on_failure", "always", "rules"] {
            assert!(explanation[key].is_array(), "{key}");
        }
        explained["next"] = job["next"].clone();
        assert_eq!(&explained, job);
    }
    // The container of an exec is that of its holder, which is told what to execute.
    let reload = jobs.as_array().unwrap().iter().find(|job| job["name"] == "reload").unwrap();
    assert_eq!(reload["container"]["command"], serde_json::json!(["job", "exec"]));
    let told: Value = serde_json::from_str(reload["container"]["env"]["TENDER_EXEC"].as_str().unwrap()).unwrap();
    assert_eq!((&told["command"], &told["env"]["API_TOKEN"]), (&reload["exec"]["command"], &Value::from("***")));
    let dry = document(&["run", "reload", "--dry-run", "-e", "ONCE=1"]);
    let told: Value = serde_json::from_str(dry["env"]["TENDER_EXEC"].as_str().unwrap()).unwrap();
    assert_eq!(told["env"]["ONCE"], "1", "as a run would get it");
}

#[test]
fn what_is_neither_schedule_nor_job() {
    let stack = Stack::new("explain");
    for (what, code, says) in [
        ("bakup", 2, "did you mean \"backup\"?"),
        ("61 * * * *", 64, "`61` is no minute"),
        ("@dayly", 64, "did you mean `@daily`?"),
    ] {
        let (text, ended) = said(&stack, &["explain", what]);
        assert!(ended == Some(code) && text.contains(says), "{text}");
    }
}
