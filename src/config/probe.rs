//! The look at the outside: a request, and everything that was found.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{ConfDir, Hook, LoginFile, Problem, TemplateFile, evaluate, gather, reaper};

/// Time that the evaluation of all shell files may take together.
pub const TIME_LIMIT_MS: u64 = 30_000;

/// Looks at shell files and folders: here in this process, in the deployed scheduler inside a
/// throwaway container.
pub trait Probe {
    /// Evaluates the shell files and gathers the texts of all others.
    ///
    /// # Errors
    /// When the look itself failed, which says nothing about the configuration.
    #[allow(async_fn_in_trait, reason = "used with generics on a current-thread runtime only")]
    async fn collect(&self, request: &ProbeRequest) -> anyhow::Result<Collected>;
}

/// What to look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// Folder of the stack's `docker-compose.yml`, absolute.
    pub compose_dir: PathBuf,
    /// The stack's `env.local`, absolute.
    pub env_local: PathBuf,
    /// The scheduler's own environment, which beats all files.
    pub process_env: BTreeMap<String, String>,
    /// Hooks that are sourced before `up` are read as well. Only where they can do no harm.
    #[serde(default)]
    pub includes: bool,
    /// Limit of the evaluation in milliseconds.
    #[serde(default = "time_limit")]
    pub time_limit_ms: u64,
    /// The shell; without one the best of those that are there.
    #[serde(default)]
    pub shell: Option<PathBuf>,
}

const fn time_limit() -> u64 {
    TIME_LIMIT_MS
}

impl ProbeRequest {
    /// A request with the usual limit and shell.
    pub fn new(
        compose_dir: impl Into<PathBuf>,
        env_local: impl Into<PathBuf>,
        process_env: BTreeMap<String, String>,
    ) -> Self {
        Self {
            compose_dir: compose_dir.into(),
            env_local: env_local.into(),
            process_env,
            includes: false,
            time_limit_ms: TIME_LIMIT_MS,
            shell: None,
        }
    }
}

/// Everything that was found. Holds secrets; has no `Debug` for that reason.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Collected {
    /// As in the request.
    pub compose_dir: PathBuf,
    /// As in the request.
    pub env_local: PathBuf,
    /// Where `env.local` leads, when it is a symlink.
    pub env_local_target: Option<PathBuf>,
    /// Files without which there is nothing to load: `docker-compose.yml`, `env.local`.
    pub missing: Vec<PathBuf>,
    /// All variables after everything was read.
    pub values: BTreeMap<String, Gathered>,
    /// What went wrong on the way.
    pub problems: Vec<Problem>,
    /// Every shell file was read to its end.
    pub complete: bool,
    /// The conf dirs in reading order, those that are not used included.
    pub conf_dirs: Vec<ConfDir>,
    /// The stack's compose files in the order of their `-f`.
    pub compose_files: Vec<PathBuf>,
    /// Job files in the order of their conf dirs.
    pub job_files: Vec<JobFile>,
    /// Texts of the files that matter, those of `job_files` included.
    pub files: BTreeMap<PathBuf, Text>,
    /// Toplevel of the checkout around `compose_dir`.
    pub checkout: Option<PathBuf>,
    /// Toplevel of the checkout that `env.local` leads into.
    #[serde(default)]
    pub private: Option<PathBuf>,
    /// Folders and files named by the configuration that exist.
    pub existing: BTreeSet<PathBuf>,
    /// Shell files that other shell files read.
    #[serde(default)]
    pub sourced: BTreeSet<PathBuf>,
    /// Templates below the conf dirs that are used, in their order.
    #[serde(default)]
    pub templates: Vec<TemplateFile>,
    /// Hooks of the conf dirs that are used, in their order.
    #[serde(default)]
    pub hooks: Vec<Hook>,
    /// Required variable → the file that lists it first.
    #[serde(default)]
    pub listed: BTreeMap<String, String>,
    /// The registry logins.
    #[serde(default)]
    pub logins: Option<LoginFile>,
    /// The main checkout's own wrapper of compose, where it may be run.
    pub wrapper: Option<PathBuf>,
    /// Paths named by the configuration that do not exist in this view. A look from inside a
    /// container is repeated with those mounted that exist on the host.
    pub unseen: Vec<PathBuf>,
}

/// A job file that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFile {
    /// Its path; the template's own where it is made from one.
    pub path: PathBuf,
    /// It was found by its mount into the legacy scheduler.
    pub legacy: bool,
    /// It is a template.
    pub template: bool,
}

/// A variable with where it came from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathered {
    /// Its value.
    pub value: Text,
    /// `environment`, `derived`, or the path of a file.
    pub source: String,
    /// The file whose different value the process environment keeps from taking effect.
    #[serde(default)]
    pub frozen: Option<String>,
    /// The assignment that gave it, where that can be told.
    #[serde(default)]
    pub written: Option<Written>,
    /// It has this value because its other name has it: nobody has written it.
    #[serde(default)]
    pub mapped: bool,
}

impl Gathered {
    /// A value from a source.
    pub fn new(value: Text, source: impl Into<String>) -> Self {
        Self { value, source: source.into(), frozen: None, written: None, mapped: false }
    }
}

/// A place in a shell file where a variable is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The file, which need not be the one that was asked for: it may be read by that.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column of the name in characters, from 1.
    pub column: usize,
    /// The line, at most 200 characters of it; values of secrets are masked.
    pub text: String,
}

/// A text that need not be UTF-8: a string in JSON where it is, else a list of bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// UTF-8.
    Utf8(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Text {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Utf8(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }

    /// The text; what is not UTF-8 is replaced by U+FFFD.
    pub fn lossy(&self) -> String {
        match self {
            Self::Utf8(text) => text.clone(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

impl Text {
    /// Its bytes.
    pub const fn bytes(&self) -> &[u8] {
        match self {
            Self::Utf8(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes.as_slice(),
        }
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|e| Self::Bytes(e.into_bytes()), Self::Utf8)
    }
}

/// Looks from a process of its own, which leaves no other behind: for the command line on a
/// developer's machine, and for tests.
#[derive(Debug, Clone)]
pub struct ProcessProbe {
    program: PathBuf,
}

impl ProcessProbe {
    /// With the path of the `tender` program, whose `probe` does the work.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }
}

impl Probe for ProcessProbe {
    async fn collect(&self, request: &ProbeRequest) -> anyhow::Result<Collected> {
        let mut child = tokio::process::Command::new(&self.program)
            .args(["probe", "--alone"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the probe has no pipes");
        };
        let mut request = serde_json::to_vec(request)?;
        request.push(b'\n');
        input.write_all(&request).await.context("the probe does not read its request")?;
        let mut answer = Vec::new();
        output.read_to_end(&mut answer).await?;
        // Held open until now: its end tells the probe that nobody waits for it any more.
        drop(input);
        let status = child.wait().await?;
        if !status.success() {
            bail!("the probe ended with {status}");
        }
        serde_json::from_slice(&answer).map_err(|error| {
            let head = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
            let head = if head.starts_with("{\"error\"") { head } else { error.to_string() };
            anyhow::anyhow!("the probe answered something unexpected: {head}")
        })
    }
}

/// The body of `tender probe --alone`: as [`probe_main`] with a request of one line, in a process
/// that does nothing else. Whatever its shells have started is ended with it, also when whoever
/// wrote the request closes its end before the answer.
///
/// # Errors
/// When the request cannot be read.
pub fn probe_alone(mut input: impl BufRead + Send + 'static) -> std::io::Result<Vec<u8>> {
    let mut request = String::new();
    input.read_line(&mut request)?;
    reaper::inherit_all();
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // Its end and a failure mean the same.
        let _ = input.read_to_end(&mut rest);
        loop {
            reaper::end_all();
        }
    });
    let answer = probe_main(&request);
    reaper::end_all();
    Ok(answer)
}

/// Looks here and now. Blocks for up to the request's time limit.
pub fn collect_here(request: &ProbeRequest) -> Collected {
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let request = ProbeRequest {
        compose_dir: absolute(&request.compose_dir),
        env_local: absolute(&request.env_local),
        ..request.clone()
    };
    gather::gather(&request, evaluate::evaluate(&request))
}

/// The body of `tender probe`: reads a [`ProbeRequest`] as JSON and gives [`Collected`] as JSON, or
/// `{"error": …}`.
pub fn probe_main(request_json: &str) -> Vec<u8> {
    let failed = |e: serde_json::Error| serde_json::json!({ "error": e.to_string() }).to_string().into_bytes();
    match serde_json::from_str(request_json) {
        Ok(request) => serde_json::to_vec(&collect_here(&request)).unwrap_or_else(failed),
        Err(error) => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_json() {
        for bytes in [b"plain".to_vec(), b"\xff\x00a".to_vec(), vec![]] {
            let text = Text::from(bytes.clone());
            let json = serde_json::to_string(&text).unwrap();
            assert!(serde_json::from_str::<Text>(&json).unwrap() == text, "{json}");
        }
    }

    #[test]
    fn a_bad_request_is_answered() {
        assert!(String::from_utf8(probe_main("{")).unwrap().starts_with("{\"error\":"));
    }
}
