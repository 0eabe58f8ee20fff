//! The shell files of a stack, read in the order in which real stacks read them.

mod dirs;
mod includes;
mod late;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::derived::Beginning;
use super::excerpt::Excerpt;
use super::interpreter::{Interpreter, NotRun, Ran};
use super::probe::{Collected, Gathered, ProbeRequest, Text, Written};
use super::shell::{End, SourcedAt, word};
use super::shell_error::{explain, remarks};
use super::written::{ShellFiles, form};
use super::{ConfDir, Problem, template};

/// What came of reading them.
pub struct Evaluated {
    /// All variables.
    pub values: BTreeMap<String, Gathered>,
    /// What went wrong.
    pub problems: Vec<Problem>,
    /// Every file was read to its end.
    pub complete: bool,
    /// The conf dirs in reading order.
    pub conf_dirs: Vec<ConfDir>,
    /// The files that were read by other files.
    pub sourced: BTreeSet<PathBuf>,
    /// Required variable → the file that lists it first.
    pub listed: BTreeMap<String, String>,
}

/// Reads all shell files.
pub fn evaluate(request: &ProbeRequest) -> Evaluated {
    let mut reader = Reader::new(request);
    if request.compose_dir.is_dir() {
        reader.read_all();
    }
    reader.finish()
}

struct Reader<'a> {
    request: &'a ProbeRequest,
    shell: Interpreter,
    sources: BTreeMap<String, String>,
    written: BTreeMap<String, Written>,
    /// What outranks all files: the process environment and what follows from the request.
    firm: BTreeMap<String, (Vec<u8>, &'static str)>,
    frozen: BTreeMap<String, String>,
    problems: Vec<Problem>,
    complete: bool,
    conf_dirs: Vec<ConfDir>,
    listed: BTreeMap<String, String>,
    seen: BTreeSet<PathBuf>,
    files: ShellFiles,
    sourced: BTreeSet<PathBuf>,
    /// Variables that have their value because their other name has it.
    mapped: BTreeSet<String>,
    /// Files that took all the time that one may take.
    given_up: BTreeSet<PathBuf>,
}

impl<'a> Reader<'a> {
    fn new(request: &'a ProbeRequest) -> Self {
        let Beginning { variables, sources, firm } = Beginning::of(request);
        let limit = Duration::from_millis(request.time_limit_ms);
        Self {
            request,
            shell: Interpreter::new(request.shell.as_deref(), &request.compose_dir, limit, variables),
            sources,
            written: BTreeMap::new(),
            firm,
            frozen: BTreeMap::new(),
            problems: Vec::new(),
            complete: true,
            conf_dirs: Vec::new(),
            listed: BTreeMap::new(),
            seen: BTreeSet::new(),
            files: ShellFiles::default(),
            sourced: BTreeSet::new(),
            mapped: BTreeSet::new(),
            given_up: BTreeSet::new(),
        }
    }

    fn read_all(&mut self) {
        let env_local = self.request.env_local.clone();
        self.source(&self.request.compose_dir.join("default.env"));
        self.source(&env_local);
        self.hold_firm();
        // Files that read the list must not see what is commented out in it.
        self.clean_lists();
        self.walk_conf_dirs();
        self.source(&env_local);
        self.hold_firm();
        self.clean_lists();
        self.map_names();
        self.expand_delayed();
        if self.request.includes {
            self.read_includes();
        }
        self.shell.finish();
        let dir = self.request.compose_dir.as_os_str().as_bytes().to_vec();
        self.shell.variables.insert("PWD".to_owned(), dir);
        self.sources.insert("PWD".to_owned(), "derived".to_owned());
    }

    fn finish(self) -> Evaluated {
        let values = self
            .shell
            .variables
            .into_iter()
            .map(|(name, value)| {
                let source = self.sources.get(&name).cloned().unwrap_or_else(|| "derived".to_owned());
                let frozen = self.frozen.get(&name).cloned();
                let written = self.written.get(&name).cloned();
                let mapped = self.mapped.contains(&name);
                (name, Gathered { frozen, written, mapped, ..Gathered::new(Text::from(value), source) })
            })
            .collect();
        let Self { problems, complete, conf_dirs, listed, sourced, .. } = self;
        Evaluated { values, problems, complete, conf_dirs, listed, sourced }
    }

    fn report(&mut self, mut problem: Problem) {
        if let (Some(place), None) = (problem.origin.place, &problem.excerpt) {
            let text = fs::read_to_string(&problem.origin.name).unwrap_or_default();
            problem.excerpt = Excerpt::of_shell(&text, place);
        }
        // env.local is read twice and makes each mistake twice.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Runs code on behalf of `file`.
    fn run(&mut self, code: &[u8], file: &Path) -> Option<Ran> {
        let limit_ms = self.request.time_limit_ms;
        let source = file.display().to_string();
        let ran = match self.shell.run(code) {
            Ok(ran) => ran,
            Err(not_run) => {
                self.complete = false;
                self.report(match not_run {
                    NotRun::TimeIsUp => {
                        Problem::error(source, format!("was not read: the files before it took all of {limit_ms} ms"))
                    }
                    NotRun::NoShell(error) => {
                        let shell = self.shell.program().display().to_string();
                        Problem::error(shell, format!("the shell does not start: {error}"))
                    }
                });
                return None;
            }
        };
        for name in &ran.changed {
            self.sources.insert(name.clone(), source.clone());
            self.written.remove(name);
            self.mapped.remove(name);
            if name == template::REQUIRED
                && let Some(value) = self.shell.variables.get(name)
            {
                for name in template::listed(&String::from_utf8_lossy(value)).into_iter().flatten() {
                    self.listed.entry(name).or_insert_with(|| source.clone());
                }
            }
        }
        if ran.end == End::TimedOut {
            self.given_up.insert(file.to_owned());
        }
        let fatal = explain(file, &ran, self.shell.step_limit().as_millis());
        let large: Vec<String> = self.shell.large().map(str::to_owned).collect();
        let large: Vec<&str> = large.iter().map(String::as_str).collect();
        for problem in remarks(file, &ran, &large) {
            if fatal.as_ref().is_none_or(|fatal| fatal.origin != problem.origin) {
                self.report(problem);
            }
        }
        if let Some(problem) = fatal {
            self.complete = false;
            self.report(problem);
        }
        Some(ran)
    }

    /// Notes which files a file has read, and which line has set what.
    fn trace(&mut self, file: &Path, ran: &Ran) {
        let variables = &self.shell.variables;
        let lookup = |name: &str| variables.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let mut sourced = ran.sourced.clone();
        for seeming in self.files.sourced_by(file, &self.request.compose_dir, &lookup) {
            if !sourced.iter().any(|s| s.file == seeming.file) {
                sourced.push(seeming);
            }
        }
        for SourcedAt { file, .. } in &sourced {
            self.files.look(file);
            self.sourced.insert(file.clone());
        }
        let way = self.files.way(file, &sourced);
        for name in &ran.changed {
            let Some(value) = variables.get(name) else { continue };
            if let Some(written) = way.find(name, value) {
                self.written.insert(name.clone(), written);
            }
        }
    }

    /// Reads a shell file, if it is there.
    fn source(&mut self, file: &Path) {
        match fs::metadata(file) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => return self.report(Problem::error(file.display().to_string(), "is not a file")),
            Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => return,
            Err(error) => {
                self.complete = false;
                return self.report(Problem::error(file.display().to_string(), format!("cannot be read: {error}")));
            }
        }
        if self.given_up.contains(file) {
            return;
        }
        if let Err(error) = fs::File::open(file) {
            self.complete = false;
            return self.report(Problem::error(file.display().to_string(), format!("cannot be read: {error}")));
        }
        self.files.look(file);
        let text = self.files.text(file).unwrap_or_default();
        let returns =
            text.lines().any(|l| l.split_whitespace().take_while(|w| !w.starts_with('#')).any(|w| w == "return"));
        if let Some(problem) = form(file, text) {
            self.report(problem);
        }
        let code = [b"\\. ".to_vec(), word(file.as_os_str().as_bytes())].concat();
        let Some(ran) = self.run(&code, file) else { return };
        self.trace(file, &ran);
        // A last command that is false is common and fine; `return 1` gives the rest of the file up.
        if let End::Complete(status @ 1..) = ran.end
            && returns
        {
            self.report(
                Problem::warning(file.display().to_string(), format!("was left by `return {status}`"))
                    .hint("what follows it was not read; see what the file asks for"),
            );
        }
    }

    /// Sets variables from outside, where they differ.
    fn assign(&mut self, values: &[(String, Vec<u8>, String)]) {
        let mut code = Vec::new();
        for (name, value, source) in values {
            if self.shell.variables.get(name) != Some(value) {
                code.extend([name.as_bytes(), b"=", &word(value), b"; "].concat());
                self.sources.insert(name.clone(), source.clone());
            }
        }
        if !code.is_empty() {
            let (sources, written) = (self.sources.clone(), self.written.clone());
            self.run(&code, &self.request.env_local.clone());
            (self.sources, self.written) = (sources, written);
        }
    }

    /// The process environment beats what a file just said.
    fn hold_firm(&mut self) {
        let mut values = Vec::new();
        for (name, (value, source)) in &self.firm {
            if self.shell.variables.get(name) != Some(value) {
                if *source == "environment"
                    && let Some(file) = self.sources.get(name)
                {
                    self.frozen.insert(name.clone(), file.clone());
                    self.written.remove(name);
                }
                values.push((name.clone(), value.clone(), (*source).to_owned()));
            }
        }
        self.assign(&values);
    }

    /// What is known so far.
    fn view(&self) -> Collected {
        Collected {
            env_local: self.request.env_local.clone(),
            values: self
                .shell
                .variables
                .iter()
                .map(|(name, value)| {
                    let source = self.sources.get(name).cloned().unwrap_or_default();
                    (name.clone(), Gathered::new(Text::from(value.clone()), source))
                })
                .collect(),
            conf_dirs: self.conf_dirs.clone(),
            ..Collected::default()
        }
    }
}
