//! The shells of one look: one after the other, where a file ends the one that reads it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::shell::{End, LARGE, Shell, SourcedAt, Start, Step, too_large};
use super::shell_dump::{Dump, Variables};
use super::shell_error;

/// Where a shell that knows what files in the wild use is looked for.
const BASH: &[&str] = &["/bin/bash", "/usr/bin/bash"];

/// The shell that every system has.
const SH: &str = "/bin/sh";

/// Names whose value bash lets nobody set.
const KEPT_BY_BASH: &[&str] = &["UID", "EUID", "GROUPS"];

/// Runs code in a shell that knows what all code before it has set.
pub struct Interpreter {
    program: PathBuf,
    dir: PathBuf,
    shell: Option<Shell>,
    deadline: Instant,
    /// An earlier one, for a while.
    hurried: Option<Instant>,
    /// What one step may take at most: one endless file leaves time for the others.
    step_limit: Duration,
    /// All variables after the last step.
    pub variables: Variables,
    /// The code that takes what is too large out of the environment of programs.
    hide: Vec<u8>,
    /// Variables that the shell had when it began, and that nobody has given it.
    own: Variables,
}

/// What came of one step.
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// What it said on standard error.
    pub said: String,
    /// The options at its end, as in `$-`.
    pub options: String,
    /// The variables that a subshell of it told.
    pub peeked: Option<Variables>,
    /// The names whose value it has changed.
    pub changed: Vec<String>,
    /// The files that it read, where the shell tells.
    pub sourced: Vec<SourcedAt>,
}

/// Why a step was not run.
pub enum NotRun {
    /// The time of the whole look is up.
    TimeIsUp,
    /// There is no shell.
    NoShell(std::io::Error),
}

impl Interpreter {
    /// One that begins with these variables, and has so much time. Without a program it is bash
    /// where there is one: files in the wild are written for bash and for busybox' ash, which share
    /// what a mere POSIX shell has not (`source`, `[[ ]]`, `${x//a/b}`). It is called `sh`, so that
    /// a missing file and a syntax error end it as they end any `sh`.
    pub fn new(program: Option<&Path>, dir: &Path, limit: Duration, variables: Variables) -> Self {
        let bash = || BASH.iter().map(Path::new).find(|path| path.is_file());
        Self {
            program: program.or_else(bash).unwrap_or(Path::new(SH)).to_owned(),
            dir: dir.to_owned(),
            shell: None,
            deadline: Instant::now() + limit,
            hurried: None,
            step_limit: limit / 2,
            variables,
            hide: Vec::new(),
            own: Variables::new(),
        }
    }

    /// The shell's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What one step may take.
    pub const fn step_limit(&self) -> Duration {
        self.step_limit
    }

    /// Gives what comes next so much time together.
    pub fn hurry(&mut self, limit: Duration) {
        self.hurried = Some(self.deadline.min(Instant::now() + limit));
    }

    /// The end of that.
    pub const fn relax(&mut self) {
        self.hurried = None;
    }

    /// Runs code.
    ///
    /// # Errors
    /// When there is no time left, or no shell.
    pub fn run(&mut self, code: &[u8]) -> Result<Ran, NotRun> {
        let deadline = self.hurried.unwrap_or(self.deadline);
        if Instant::now() >= deadline {
            return Err(NotRun::TimeIsUp);
        }
        let mut shell = match self.shell.take() {
            Some(shell) => shell,
            None => self.start(&self.program.clone(), true)?,
        };
        let step_deadline = deadline.min(Instant::now() + self.step_limit);
        let mut step = shell.run(&[self.hide.as_slice(), code].concat(), step_deadline);
        let mut keeps = matches!(step.end, End::Complete(_));
        if let Some(better) = self.again(&step, code, step_deadline) {
            (step, keeps) = (better, false);
        }
        if keeps {
            self.shell = Some(shell);
        }
        let changed = step.dump.take().map(|dump| self.take(dump)).unwrap_or_default();
        let peeked = step.peeked.take().map(|dump| dump.variables);
        let Step { end, said, options, sourced, .. } = step;
        Ok(Ran { end, said, options, peeked, changed, sourced })
    }

    /// The same code in another shell, where that is the way out of what this one could not do.
    fn again(&mut self, step: &Step, code: &[u8], deadline: Instant) -> Option<Step> {
        let (own, sh) = (self.program.clone(), PathBuf::from(SH));
        let ways = match step.end {
            // What is written without `export` is no program's business: it is `set -a` that makes
            // it too much for one.
            End::Complete(_) if shell_error::is_too_large(&step.said) => vec![(own, false)],
            // A name that a file read before has made read-only, or that only bash keeps for itself.
            End::Exited(_) if shell_error::is_read_only(&step.said) => vec![(own, true), (sh, true)],
            _ => return None,
        };
        ways.into_iter().find_map(|(program, export_all)| {
            let again = self.start(&program, export_all).ok()?.run(code, deadline);
            let good = matches!(again.end, End::Complete(_)) && !shell_error::is_unknown_program(&again.said);
            (good || !export_all).then_some(again)
        })
    }

    fn start(&mut self, program: &Path, export_all: bool) -> Result<Shell, NotRun> {
        let keeps = |name: &&String| KEPT_BY_BASH.contains(&name.as_str());
        let given: Variables =
            self.variables.iter().filter(|(name, _)| !keeps(name)).map(|(k, v)| (k.clone(), v.clone())).collect();
        let start = Start { program, dir: &self.dir, variables: &given, export_all };
        let (shell, first) = Shell::start(&start, self.deadline).map_err(NotRun::NoShell)?;
        self.own = first.variables.into_iter().filter(|(name, _)| !given.contains_key(name)).collect();
        self.hide = Vec::new();
        Ok(shell)
    }

    /// Takes the variables over, and gives the names of those that changed.
    fn take(&mut self, dump: Dump) -> Vec<String> {
        let Dump { mut variables, exported } = dump;
        variables.retain(|name, value| self.own.get(name) != Some(value) || exported.contains(name));
        for name in KEPT_BY_BASH {
            if let (Some(value), None) = (self.variables.get(*name), variables.get(*name)) {
                variables.insert((*name).to_owned(), value.clone());
            }
        }
        let changed = variables.iter().filter(|(name, value)| self.variables.get(*name) != Some(*value));
        let changed = changed.map(|(name, _)| name.clone()).collect();
        self.hide.clear();
        for name in too_large(&variables).into_iter().filter(|name| exported.contains(*name)) {
            self.hide.extend([b"__tender_hide ".as_slice(), name.as_bytes(), b"\n"].concat());
        }
        self.variables = variables;
        changed
    }

    /// The exported values that no program can be started with.
    pub fn large(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().filter(|(_, value)| value.len() > LARGE).map(|(name, _)| name.as_str())
    }

    /// Lets the shell come to its end.
    pub fn finish(&mut self) {
        if let Some(shell) = self.shell.take() {
            shell.finish();
        }
    }
}
