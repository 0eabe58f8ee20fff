//! The shell files of a stack, read in the order in which real stacks read them.

mod includes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::conf_dir::{self, Entry};
use super::excerpt::Excerpt;
use super::probe::{Collected, Gathered, ProbeRequest, Text};
use super::setting::Setting;
use super::shell::{End, Shell, Variables, word};
use super::shell_error::explain;
use super::{ConfDir, Problem, aliases, delayed, template};

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
    shell: Option<Shell>,
    deadline: Instant,
    /// Time is up, or there is no shell: nothing more is run.
    stopped: bool,
    variables: Variables,
    sources: BTreeMap<String, String>,
    /// What outranks all files: the process environment and what follows from the request.
    firm: BTreeMap<String, (Vec<u8>, &'static str)>,
    frozen: BTreeMap<String, String>,
    problems: Vec<Problem>,
    complete: bool,
    conf_dirs: Vec<ConfDir>,
    listed: BTreeMap<String, String>,
    seen: BTreeSet<PathBuf>,
}

impl<'a> Reader<'a> {
    fn new(request: &'a ProbeRequest) -> Self {
        let mut variables = Variables::new();
        let mut sources = BTreeMap::new();
        let mut firm = BTreeMap::new();
        for (name, value) in
            [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/"), ("USER", "root")]
        {
            variables.insert(name.to_owned(), value.as_bytes().to_vec());
        }
        let derived = derived(request);
        for (name, value) in &derived.weak {
            variables.insert((*name).to_owned(), value.clone());
        }
        sources.extend(variables.keys().map(|name| (name.clone(), "derived".to_owned())));
        for (name, value) in &request.process_env {
            // The name of the scheduler's own container is nobody's setting.
            if !["PWD", "OLDPWD", "SHLVL", "_", "HOSTNAME"].contains(&name.as_str()) && super::words::is_name(name) {
                firm.insert(name.clone(), (value.as_bytes().to_vec(), "environment"));
            }
        }
        for (name, value) in derived.firm {
            firm.insert(name.to_owned(), (value, "derived"));
        }
        for (name, (value, source)) in &firm {
            variables.insert(name.clone(), value.clone());
            sources.insert(name.clone(), (*source).to_owned());
        }
        Self {
            request,
            shell: None,
            deadline: Instant::now() + Duration::from_millis(request.time_limit_ms),
            stopped: false,
            variables,
            sources,
            firm,
            frozen: BTreeMap::new(),
            problems: Vec::new(),
            complete: true,
            conf_dirs: Vec::new(),
            listed: BTreeMap::new(),
            seen: BTreeSet::new(),
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
        self.expand_delayed();
        if self.request.includes {
            self.read_includes();
        }
        self.variables.insert("PWD".to_owned(), self.request.compose_dir.as_os_str().as_bytes().to_vec());
        self.sources.insert("PWD".to_owned(), "derived".to_owned());
    }

    fn finish(self) -> Evaluated {
        let values = self
            .variables
            .into_iter()
            .map(|(name, value)| {
                let source = self.sources.get(&name).cloned().unwrap_or_else(|| "derived".to_owned());
                let frozen = self.frozen.get(&name).cloned();
                (name, Gathered { frozen, ..Gathered::new(Text::from(value), source) })
            })
            .collect();
        Evaluated {
            values,
            problems: self.problems,
            complete: self.complete,
            conf_dirs: self.conf_dirs,
            listed: self.listed,
        }
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

    /// Runs code on behalf of `file`. Gives what a subshell of it told, if any.
    fn run(&mut self, code: &[u8], file: &Path) -> Option<(End, Option<Variables>)> {
        if self.stopped {
            return None;
        }
        if self.shell.is_none() {
            match Shell::start(&self.request.shell, &self.request.compose_dir, &self.variables) {
                Ok(shell) => self.shell = Some(shell),
                Err(error) => {
                    let shell = self.request.shell.display();
                    self.report(Problem::error(shell.to_string(), format!("the shell does not start: {error}")));
                    (self.stopped, self.complete) = (true, false);
                    return None;
                }
            }
        }
        let step = self.shell.as_mut()?.run(code, self.deadline);
        let source = file.display().to_string();
        if let Some(variables) = step.variables {
            for (name, value) in &variables {
                if self.variables.get(name) != Some(value) {
                    self.sources.insert(name.clone(), source.clone());
                    if name == template::REQUIRED {
                        for name in template::listed(&String::from_utf8_lossy(value)).into_iter().flatten() {
                            self.listed.entry(name).or_insert_with(|| source.clone());
                        }
                    }
                }
            }
            self.variables = variables;
        }
        if !matches!(step.end, End::Complete(_)) {
            self.shell = None;
            self.complete = false;
            self.stopped = step.end == End::TimedOut;
        }
        if let Some(problem) = explain(file, step.end, &step.said, self.request.time_limit_ms) {
            self.report(problem);
        }
        Some((step.end, step.peeked))
    }

    /// Reads a shell file, if it is there.
    fn source(&mut self, file: &Path) {
        match fs::metadata(file) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => return self.report(Problem::error(file.display().to_string(), "is not a file")),
            Err(_) => return,
        }
        let text = match fs::read(file) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => {
                self.complete = false;
                return self.report(Problem::error(file.display().to_string(), format!("cannot be read: {error}")));
            }
        };
        let code = [b". ".to_vec(), word(file.as_os_str().as_bytes())].concat();
        let ended = self.run(&code, file);
        // A last command that is false is common and fine; `return 1` gives the rest of the file up.
        if let Some((End::Complete(status @ 1..), _)) = ended
            && text.lines().any(|l| l.split_whitespace().take_while(|w| !w.starts_with('#')).any(|w| w == "return"))
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
            if self.variables.get(name) != Some(value) {
                code.extend([name.as_bytes(), b"=", &word(value), b"; "].concat());
                self.sources.insert(name.clone(), source.clone());
            }
        }
        if !code.is_empty() {
            let sources = std::mem::take(&mut self.sources);
            self.run(&code, &self.request.env_local.clone());
            self.sources = sources;
        }
    }

    /// The process environment beats what a file just said.
    fn hold_firm(&mut self) {
        let mut values = Vec::new();
        for (name, (value, source)) in &self.firm {
            if self.variables.get(name) != Some(value) {
                if *source == "environment"
                    && let Some(file) = self.sources.get(name)
                {
                    self.frozen.insert(name.clone(), file.clone());
                }
                values.push((name.clone(), value.clone(), (*source).to_owned()));
            }
        }
        self.assign(&values);
    }

    /// What stands in a list of conf dirs or repos, without comments and doubles.
    fn clean_lists(&mut self) {
        let mut values = Vec::new();
        for setting in ["BIRDHOUSE_DEFAULT_CONF_DIRS", "BIRDHOUSE_EXTRA_CONF_DIRS", "BIRDHOUSE_AUTODEPLOY_EXTRA_REPOS"]
        {
            let Some(setting) = Setting::find(setting) else { continue };
            for name in setting.names() {
                let Some(text) = self.variables.get(name).map(|v| String::from_utf8_lossy(v).into_owned()) else {
                    continue;
                };
                let source = self.sources.get(name).cloned().unwrap_or_default();
                let mut kept: Vec<String> = Vec::new();
                for entry in conf_dir::entries(&text) {
                    match entry {
                        Entry::Commented(path) => {
                            self.report(
                                Problem::warning(&source, format!("the entry {path:?} is commented out and not used"))
                                    .at_name(name)
                                    .hint("take it out of the list"),
                            );
                            let path =
                                conf_dir::absolute(&self.request.compose_dir, path.trim_start_matches(['#', ' ']));
                            let gone = ConfDir { path, active: false, reason: Some("commented out".to_owned()) };
                            if name.ends_with("CONF_DIRS") && !self.conf_dirs.contains(&gone) {
                                self.conf_dirs.push(gone);
                            }
                        }
                        Entry::Path(path) => {
                            if !kept.contains(&path) {
                                kept.push(path);
                            }
                        }
                    }
                }
                values.push((name.to_owned(), rejoined(&text, &kept).into_bytes(), source));
            }
        }
        self.assign(&values);
    }

    fn walk_conf_dirs(&mut self) {
        let commented = std::mem::take(&mut self.conf_dirs);
        let view = Collected {
            env_local: self.request.env_local.clone(),
            values: self
                .variables
                .iter()
                .map(|(name, value)| {
                    let source = self.sources.get(name).cloned().unwrap_or_default();
                    (name.clone(), Gathered::new(Text::from(value.clone()), source))
                })
                .collect(),
            ..Collected::default()
        };
        for list in ["BIRDHOUSE_DEFAULT_CONF_DIRS", "BIRDHOUSE_EXTRA_CONF_DIRS"] {
            let Some(setting) = Setting::find(list) else { continue };
            // The difference of old and new name is reported once, when the settings are made.
            let Some((name, chosen)) = aliases::choose(&view, setting.name, setting.old, &mut Vec::new()) else {
                continue;
            };
            for entry in conf_dir::entries(&chosen.value.lossy()) {
                if let Entry::Path(path) = entry {
                    self.conf_dir(&path, None, (name, &chosen.source));
                }
            }
        }
        self.conf_dirs.extend(commented);
    }

    /// Reads the defaults of one conf dir, those of what it depends on first.
    fn conf_dir(&mut self, named: &str, needed_by: Option<&str>, list: (&str, &str)) {
        let path = conf_dir::absolute(&self.request.compose_dir, named);
        if !self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            return;
        }
        if !path.is_dir() {
            let (origin, message) = match needed_by {
                Some(by) => (by, format!("depends on the conf dir {named:?}, which does not exist")),
                None => (list.1, format!("the conf dir {named:?} does not exist")),
            };
            self.report(Problem::warning(origin, message).at_name(list.0).hint("mend the path, or take it out"));
            self.conf_dirs.push(ConfDir { path, active: false, reason: Some(ConfDir::MISSING.to_owned()) });
            return;
        }
        let defaults = path.join("default.env");
        if fs::read(&defaults).is_ok_and(|t| String::from_utf8_lossy(&t).contains("COMPONENT_DEPENDENCIES")) {
            let file = word(defaults.as_os_str().as_bytes());
            let code =
                [b"(unset COMPONENT_DEPENDENCIES; . ".to_vec(), file, b"; __tender_dump peek 0) 2>/dev/null".to_vec()]
                    .concat();
            let peeked = self.run(&code, &defaults).and_then(|(_, peeked)| peeked);
            let needs = peeked.and_then(|mut p| p.remove("COMPONENT_DEPENDENCIES")).unwrap_or_default();
            let origin = defaults.display().to_string();
            for entry in conf_dir::entries(&String::from_utf8_lossy(&needs)) {
                if let Entry::Path(needed) = entry {
                    self.conf_dir(&needed, Some(&origin), ("COMPONENT_DEPENDENCIES", &origin));
                }
            }
        }
        self.source(&defaults);
        self.conf_dirs.push(ConfDir { path, active: true, reason: needed_by.map(|by| format!("needed by {by}")) });
    }

    fn expand_delayed(&mut self) {
        let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
        let list = self.variables.get("DELAYED_EVAL").map(text).unwrap_or_default();
        let known: BTreeMap<String, String> =
            self.variables.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let (order, problems) = delayed::order(&list, &known);
        problems.into_iter().for_each(|p| self.report(p));
        for name in order {
            let source = self.sources.get(&name).cloned().unwrap_or_default();
            // In a subshell: a value that is no shell syntax must not end this one.
            let code = format!(
                "__tender_v=$(eval \"printf '%sx' \\\"${{{name}}}\\\"\" 2>/dev/null) && {name}=${{__tender_v%x}}"
            );
            let ended = self.run(code.as_bytes(), &PathBuf::from(&source));
            self.sources.insert(name.clone(), source.clone());
            if !matches!(ended, Some((End::Complete(0), _))) {
                self.report(
                    Problem::warning(source, "its delayed value cannot be expanded and stays as it is")
                        .at_name(&name)
                        .hint("it must be valid inside double quotes of a shell"),
                );
            }
        }
    }
}

/// A list in its own text where nothing was taken out; else an entry a line, because stacks look for
/// a component at the end of one.
fn rejoined(text: &str, kept: &[String]) -> String {
    let same = text.split_ascii_whitespace().eq(kept.iter().map(String::as_str));
    if same { text.to_owned() } else { kept.join("\n") }
}

struct Derived {
    /// Set before anything is read.
    weak: Vec<(&'static str, Vec<u8>)>,
    /// Beats all files.
    firm: Vec<(&'static str, Vec<u8>)>,
}

/// The variables that a stack's own wrapper derives.
fn derived(request: &ProbeRequest) -> Derived {
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let dir = &request.compose_dir;
    let real = request.env_local.canonicalize().unwrap_or_else(|_| request.env_local.clone());
    let wrapper = ["birdhouse-compose.sh", "pavics-compose.sh"].map(|name| dir.join(name));
    let wrapper = wrapper.iter().find(|w| w.exists()).unwrap_or(&wrapper[0]);
    Derived {
        weak: vec![
            ("BIRDHOUSE_COMPOSE", bytes(wrapper)),
            ("BIRDHOUSE_EXE", bytes(&dir.join("../bin/birdhouse"))),
            // The stack's own programs have another default.
            (aliases::COMPATIBLE, b"True".to_vec()),
        ],
        firm: vec![
            ("COMPOSE_DIR", bytes(dir)),
            ("BIRDHOUSE_LOCAL_ENV", bytes(&request.env_local)),
            ("BIRDHOUSE_LOCAL_ENV_REAL_PATH", bytes(&real)),
            ("BIRDHOUSE_LOCAL_ENV_REAL_DIR", bytes(real.parent().unwrap_or(&real))),
        ],
    }
}
