//! Jobs that keep books of their own, and what is known of each of their runs in advance.

use std::path::Path;

use serde_json::{Value, json};

/// One launch of an occurrence: which, and how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    pub part: u32,
    pub attempt: u32,
    pub code: i64,
    pub outcome: &'static str,
}

const fn launch(part: u32, attempt: u32, code: i64, outcome: &'static str) -> Launch {
    Launch { part, attempt, code, outcome }
}

/// A job, and what every occurrence of it becomes.
#[derive(Debug, Clone)]
pub struct Kind {
    pub name: &'static str,
    pub schedule: &'static str,
    pub launches: Vec<Launch>,
    /// Lines that each launch writes to each of both streams; `None`: it writes what it likes.
    pub lines: Option<u32>,
    /// Further keys of the definition.
    more: Value,
    action: Does,
}

#[derive(Debug, Clone)]
enum Does {
    Run { script: String },
    Exec { script: String, target: String },
    Builtin,
}

/// Lines of most jobs.
pub const LINES: u32 = 60;

/// Says in the books that it begins, writes half of its lines, does something, writes the others,
/// says that it ends.
fn script(lines: u32, between: &str, code: i64) -> String {
    let half = lines / 2;
    format!(
        "say() {{ i=$1; while [ $i -lt $2 ]; do i=$((i+1)); echo \"$TENDER_RUN out $i\"; \
         echo \"$TENDER_RUN err $i\" >&2; done; }}\n\
         rest() {{ say {half} {lines}; echo \"end $TENDER_RUN\" >> /books/trail; exit {code}; }}\n\
         echo \"start $TENDER_RUN\" >> /books/trail\nsay 0 {half}\n{between}\nrest\n"
    )
}

impl Kind {
    fn run(name: &'static str, between: &str, launches: Vec<Launch>) -> Self {
        let script = script(LINES, between, launches[0].code);
        Self { name, schedule: "@manual", launches, lines: Some(LINES), more: json!({}), action: Does::Run { script } }
    }

    fn with(mut self, more: Value) -> Self {
        self.more = more;
        self
    }

    pub fn well() -> Self {
        Self::run("well", "sleep 0.3", vec![launch(0, 1, 0, "succeeded")])
    }

    pub fn retried() -> Self {
        let launches = vec![launch(0, 1, 3, "failed"), launch(0, 2, 3, "failed")];
        Self::run("retried", "sleep 0.2", launches).with(json!({"retries": {"max": 1, "backoff": "1s"}}))
    }

    pub fn followed() -> Self {
        let launches = [0, 1, 2, 201].map(|part| launch(part, 1, 0, "succeeded"));
        Self::run("followed", "sleep 0.2", launches.to_vec())
    }

    pub fn overdue() -> Self {
        let between = "trap rest TERM; sleep 600 & wait";
        Self::run("overdue", between, vec![launch(0, 1, 9, "timed-out")])
            .with(json!({"timeout": "1s", "grace": "120s"}))
    }

    pub fn exec(stack: &str) -> Self {
        Self {
            action: Does::Exec { script: script(LINES, "sleep 0.3", 3), target: target(stack) },
            ..Self::run("exec", "", vec![launch(0, 1, 3, "failed")])
        }
    }

    pub fn builtin() -> Self {
        Self { lines: None, action: Does::Builtin, ..Self::run("logrotate", "", vec![launch(0, 1, 0, "succeeded")]) }
    }

    /// Due by itself, again and again.
    pub fn scheduled(name: &'static str, schedule: &'static str, overlap: &str, seconds: &str) -> Self {
        let kind = Self::run(name, &format!("sleep {seconds}"), vec![launch(0, 1, 0, "succeeded")]);
        Self { schedule, ..kind }.with(json!({"overlap": overlap}))
    }

    /// Seconds between two occurrences.
    pub fn seconds(&self) -> i64 {
        let first = self.schedule.split(' ').next().unwrap();
        first.strip_prefix("*/").map_or(1, |step| step.parse().unwrap())
    }

    /// With so many lines on each of both streams.
    pub fn saying(mut self, lines: u32, between: &str) -> Self {
        self.lines = Some(lines);
        self.action = Does::Run { script: script(lines, between, self.launches[0].code) };
        self
    }

    /// Its entry of the job file.
    pub fn definition(&self, image: &str, books: &Path) -> Value {
        let mut job = json!({"name": self.name, "schedule": self.schedule});
        let run = |script: &str| {
            json!({
                "image": image,
                "command": ["sh", "-c", script],
                "volumes": [format!("{}:/books", books.display())],
                "network": "none",
            })
        };
        match &self.action {
            Does::Builtin => job["builtin"] = json!("logrotate"),
            Does::Exec { script, target } => {
                job["exec"] = json!({"container": target, "command": ["sh", "-c", script]});
            }
            Does::Run { script } => {
                job["run"] = run(script);
                let parts = |from: u32| self.launches.iter().filter(move |l| l.part / 100 == from && l.part > 0);
                for (key, from) in [("on_success", 0), ("always", 2)] {
                    let actions: Vec<Value> = parts(from).map(|_| run(script)).collect();
                    if !actions.is_empty() {
                        job[key] = json!(actions);
                    }
                }
            }
        }
        for (key, value) in self.more.as_object().into_iter().flatten() {
            job[key] = value.clone();
        }
        job
    }
}

/// Name of the container that exec jobs go to.
pub fn target(stack: &str) -> String {
    format!("{stack}-target")
}
