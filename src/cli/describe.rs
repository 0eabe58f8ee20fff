//! Actions, containers and rules in plain words, made of documents in which secrets are masked.

use std::time::Duration;

use serde_json::Value;

use super::instant::length;
use crate::config::quote;
use crate::job::{Action, Missed, OnInterrupt, Overlap, Policy};
use crate::secret::MASK;

/// What an action does, line by line. `document` is the one about it.
pub(super) fn action(document: &Value, action: &Action) -> Vec<String> {
    let container = &document["container"];
    let mut lines = Vec::new();
    match action {
        Action::Run(_) => lines.push(format!("a new container of the image {}", text(&container["image"]))),
        Action::Builtin(builtin) => {
            lines.push(format!("the built-in job {builtin}, in a container of {}", text(&container["image"])));
        }
        Action::Exec(_) => {
            let exec = &document["exec"];
            let target: Vec<String> = exec["target"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(kind, name)| format!("{kind} {}", text(name)))
                .collect();
            lines.push(format!("a command in the running {}", target.join(" of ")));
            lines.extend(program(exec));
            lines.push(format!("executed from a container of {}", text(&container["image"])));
            return lines;
        }
        Action::ServiceRun(_) => {
            let run = &document["service-run"];
            lines.push(format!("a one-off container of the service {}", text(&run["service"])));
            lines.extend(program(run));
            return lines;
        }
        Action::Http(_) => {
            let http = &document["http"];
            lines.push(format!("the request {} {}", text(&http["method"]), text(&http["url"])));
            lines.extend(pairs("header", &http["headers"]));
            lines.push(format!("made from a container of {}", text(&container["image"])));
            return lines;
        }
        Action::Host(_) => {
            let host = &document["host"];
            lines.push("a command on the host itself".to_owned());
            lines.push(format!("command    {}", text(&host["command"])));
            lines.extend(pairs("env", &host["env"]));
            lines.extend(words_of(host));
            lines.push("through the container".to_owned());
        }
    }
    lines.extend(self::container(container));
    lines
}

/// What is executed, as whom and where.
fn program(document: &Value) -> Vec<String> {
    let mut lines = vec![match document["command"].as_array().map(Vec::as_slice) {
        None | Some([]) => "command    its own".to_owned(),
        Some(_) => format!("command    {}", command(&document["command"])),
    }];
    lines.extend(pairs("env", &document["env"]));
    lines.extend(words_of(document));
    lines
}

fn words_of(document: &Value) -> Vec<String> {
    let words = ["user", "workdir"].into_iter();
    words.filter_map(|key| document[key].as_str().map(|value| format!("{key:<11}{value}"))).collect()
}

/// A container, one option a line; what is not set is left out.
fn container(document: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    match document["entrypoint"].as_array().map(Vec::as_slice) {
        None => {}
        Some([]) => lines.push("entrypoint none".to_owned()),
        Some(_) => lines.push(format!("entrypoint {}", command(&document["entrypoint"]))),
    }
    let own = document["command"].as_array().is_none_or(Vec::is_empty);
    lines.push(if own {
        "command    that of the image".to_owned()
    } else {
        format!("command    {}", command(&document["command"]))
    });
    lines.extend(pairs("env", &document["env"]));
    for mount in document["mounts"].as_array().into_iter().flatten() {
        let source = mount["source"].as_str().unwrap_or("an anonymous volume");
        let target = text(&mount["target"]);
        let access = if mount["read_only"] == true { ", read-only" } else { "" };
        lines.push(format!(
            "mount      {}{access}",
            if source == target { source.to_owned() } else { format!("{source} at {target}") }
        ));
    }
    let networks = names(&document["networks"]);
    lines.push(format!("network    {}", if networks.is_empty() { "bridge" } else { &networks }));
    for key in ["user", "workdir", "hostname", "platform", "pull"] {
        lines.extend(document[key].as_str().map(|value| format!("{key:<11}{value}")));
    }
    lines.extend(limits(document));
    for (key, word) in [("privileged", "with all privileges"), ("read_only", "its file system is read-only")] {
        if document[key] == true {
            lines.push(word.to_owned());
        }
    }
    for (key, word, all) in [("cap_drop", "without", "any capability"), ("cap_add", "with", "all capabilities")] {
        match names(&document[key]).as_str() {
            "" => {}
            "ALL" => lines.push(format!("{word} {all}")),
            capabilities => lines.push(format!("{word} the capabilities {capabilities}")),
        }
    }
    lines
}

fn names(list: &Value) -> String {
    list.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ")
}

fn limits(document: &Value) -> Option<String> {
    let memory = document["memory"].as_i64().map(|bytes| format!("{} MB of memory", bytes / (1 << 20)));
    let cpus = document["nano_cpus"].as_i64().map(|nano| format!("{} processors", nano as f64 / 1e9));
    let pids = document["pids"].as_i64().filter(|n| *n > 0).map(|n| format!("{n} processes"));
    let limits: Vec<String> = [memory, cpus, pids].into_iter().flatten().collect();
    (!limits.is_empty()).then(|| format!("at most    {}", limits.join(", ")))
}

/// The rules of a job's runs, line by line.
pub(super) fn rules(policy: &Policy, stop: &[String]) -> Vec<String> {
    let mut rules = vec![
        match policy.overlap {
            Overlap::Skip => "what is due while it runs is skipped",
            Overlap::Queue => "what is due while it runs waits, one at a time",
            Overlap::Allow => "it may run several times at once",
        }
        .to_owned(),
    ];
    if !policy.locks.is_empty() {
        rules.push(format!("never together with other jobs that hold the lock {}", policy.locks.join(" or ")));
    }
    if !stop.is_empty() {
        rules.push(format!("{} stopped while it runs, and started again whatever happens", stop.join(", ")));
    }
    rules.push(match policy.timeout {
        Some(timeout) => format!("stopped after {}, and killed {} later", time(timeout), time(policy.grace)),
        None => "without a time limit".to_owned(),
    });
    let retries = &policy.retries;
    rules.push(match retries.max {
        0 => "not tried again after a failure".to_owned(),
        max => {
            let codes: Vec<String> = retries.on.iter().map(ToString::to_string).collect();
            let on = if codes.is_empty() { String::new() } else { format!(" that ends with {}", codes.join(" or ")) };
            let pause = format!("first after {}, each time {} times as long", time(retries.backoff), retries.factor);
            format!("tried again {max} times after a failure{on}: {pause}, {} at most", time(retries.max_backoff))
        }
    });
    rules.push(match policy.missed {
        Missed::Skip => "not caught up on when the scheduler was away".to_owned(),
        Missed::Once => format!("caught up on once when the scheduler was away, up to {} late", time(policy.deadline)),
        Missed::All(n) => {
            format!("caught up on up to {n} times when the scheduler was away, up to {} late", time(policy.deadline))
        }
    });
    if !policy.jitter.is_zero() {
        rules.push(format!("delayed by up to {} at random", time(policy.jitter)));
    }
    if policy.on_interrupt == OnInterrupt::Retry {
        rules.push("repeated once when the engine took it away".to_owned());
    }
    rules
}

/// A length of time in its largest units.
fn time(time: Duration) -> String {
    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    match ms / 1000 {
        seconds @ 1.. if ms % 1000 == 0 && seconds % 86_400 == 0 => format!("{} d", seconds / 86_400),
        seconds @ 1.. if ms % 1000 == 0 && seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds @ 1.. if ms % 1000 == 0 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds @ 1..60 if ms % 1000 == 0 => format!("{seconds} s"),
        _ => length(ms),
    }
}

/// Words as one would type them.
fn command(words: &Value) -> String {
    words.as_array().into_iter().flatten().map(|word| typed(text(word))).collect::<Vec<_>>().join(" ")
}

/// A word as a shell would read it; one that is masked reads better without quotes.
fn typed(word: &str) -> String {
    if word == MASK { word.to_owned() } else { quote(word) }
}

/// Variables, without those by which Tender speaks to its own programs.
fn pairs<'a>(word: &'a str, pairs: &'a Value) -> impl Iterator<Item = String> + 'a {
    let pairs = pairs.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with("TENDER_"));
    pairs.map(move |(name, value)| format!("{word:<11}{name}={}", typed(text(value))))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Retries;

    #[test]
    fn rules_in_words() {
        let plain = rules(&Policy::default(), &[]);
        assert_eq!(plain[1], "stopped after 1 h, and killed 10 s later");
        assert!(plain.contains(&"caught up on once when the scheduler was away, up to 1 d late".to_owned()));
        let retries = Retries { max: 2, on: vec![75, 3], ..Retries::default() };
        let policy = Policy { retries, locks: vec!["stack".into()], timeout: None, ..Policy::default() };
        let said = rules(&policy, &["web".into(), "db".into()]).join("\n");
        for line in [
            "hold the lock stack",
            "web, db stopped while",
            "without a time limit",
            "ends with 75 or 3: first after 10 s, each time 2 times",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
    }

    #[test]
    fn lengths_of_time() {
        for (ms, words) in
            [(500, "0.5 s"), (90_000, "1 min 30 s"), (7_200_000, "2 h"), (172_800_000, "2 d"), (0, "0.0 s")]
        {
            assert_eq!(time(Duration::from_millis(ms)), words);
        }
    }
}
