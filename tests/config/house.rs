//! A copy of a fixture, and the ways to look at what comes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tender::config::{Collected, Installation, LoadError, Loaded, Probe as _, ProbeRequest, ProcessProbe, load};
use tender::job::MountSource;

/// A copy of a fixture, with a `.git` folder around it; or one around each of its folders, where its
/// file `compose-dir` says in which of them the stack is.
pub(crate) struct Stack {
    pub(crate) root: tempfile::TempDir,
    /// The compose dir.
    pub(crate) dir: PathBuf,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source).unwrap(), target).unwrap();
        } else if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, target).unwrap();
        }
    }
}

/// The folder of all fixtures.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config")
}

impl Stack {
    pub(crate) fn new(case: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        copy(&fixtures().join(case), root.path());
        let root_path = root.path().canonicalize().unwrap();
        if let Ok(below) = fs::read_to_string(root_path.join("compose-dir")) {
            for entry in fs::read_dir(&root_path).unwrap().map(Result::unwrap).filter(|e| e.path().is_dir()) {
                fs::create_dir(entry.path().join(".git")).unwrap();
            }
            return Self { root, dir: root_path.join(below.trim()) };
        }
        fs::create_dir(root_path.join(".git")).unwrap();
        let dir = if root_path.join("stack").is_dir() { root_path.join("stack") } else { root_path };
        Self { root, dir }
    }

    pub(crate) fn request(&self) -> ProbeRequest {
        let process = fs::read_to_string(self.root.path().join("process.env")).unwrap_or_default();
        let mut env: BTreeMap<String, String> =
            process.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        env.insert("PATH".to_owned(), std::env::var("PATH").unwrap());
        ProbeRequest::new(&self.dir, self.dir.join("env.local"), env)
    }

    pub(crate) fn load(&self) -> Loaded {
        self.try_load(&self.request()).unwrap()
    }

    pub(crate) fn try_load(&self, request: &ProbeRequest) -> Result<Loaded, LoadError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(load(&program(), request, &installation()))
    }

    /// What a look at it finds.
    pub(crate) fn collect(&self, request: &ProbeRequest) -> Collected {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(program().collect(request)).unwrap()
    }

    /// A document without the path of this machine.
    pub(crate) fn shown(&self, document: &Value) -> String {
        let text = serde_json::to_string_pretty(document).unwrap();
        text.replace(self.root.path().canonicalize().unwrap().to_str().unwrap(), "[ROOT]")
    }
}

/// The look as the command line does it.
fn program() -> ProcessProbe {
    ProcessProbe::new(env!("CARGO_BIN_EXE_tender"))
}

pub(crate) fn installation() -> Installation {
    Installation {
        image: "sha256:own".to_owned(),
        socket: "/run/docker.sock".into(),
        state: MountSource::Volume("state".to_owned()),
        instance: "abcd".to_owned(),
    }
}

/// The jobs without everything that is empty.
pub(crate) fn jobs(loaded: &Loaded) -> Value {
    let document = loaded.jobs.iter().map(|job| {
        json!({
            "name": job.name,
            "comment": job.comment,
            "schedule": job.schedule.text(),
            "timezone": job.schedule.zone().name(),
            "switched_off": !job.enabled,
            "run_on_start": job.run_on_start,
            "origin": job.origin,
            "log": job.log_file,
            "action": job.action,
            "follow_ups": job.follow_ups,
            "watch": job.watch,
            "stop": job.stop,
            "extra": job.extra,
            "policy": format!("{:?}", job.policy),
        })
    });
    full(&document.collect())
}

fn full(value: &Value) -> Value {
    let empty = |v: &Value| match v {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    match value {
        Value::Array(items) => items.iter().map(full).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(k, v)| (k.clone(), full(v))).filter(|(_, v)| !empty(v)).collect()
        }
        other => other.clone(),
    }
}

pub(crate) fn problems(loaded: &Loaded) -> String {
    loaded.problems.iter().map(|p| format!("{p}\n")).collect()
}

pub(crate) fn variable(loaded: &Loaded, name: &str) -> Option<(String, String)> {
    loaded.values.get(name).map(|s| (s.value.clone(), s.source.clone()))
}
