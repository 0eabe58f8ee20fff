//! The conf dirs: which are listed, and what each of them says.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::Reader;
use crate::config::conf_dir::{self, Entry};
use crate::config::setting::Setting;
use crate::config::shell::word;
use crate::config::{ConfDir, Origin, Problem, aliases};

impl Reader<'_> {
    /// What stands in a list of conf dirs or repos, without comments and doubles.
    pub(super) fn clean_lists(&mut self) {
        let mut values = Vec::new();
        for setting in ["BIRDHOUSE_DEFAULT_CONF_DIRS", "BIRDHOUSE_EXTRA_CONF_DIRS", "BIRDHOUSE_AUTODEPLOY_EXTRA_REPOS"]
        {
            let Some(setting) = Setting::find(setting) else { continue };
            for name in setting.names() {
                let Some(text) = self.shell.variables.get(name).map(|v| String::from_utf8_lossy(v).into_owned()) else {
                    continue;
                };
                let source = self.sources.get(name).cloned().unwrap_or_default();
                let mut kept: Vec<String> = Vec::new();
                for entry in conf_dir::entries(&text) {
                    match entry {
                        Entry::Commented(path) => {
                            let message = format!("the entry {path:?} is commented out and not used");
                            let problem = Problem::warning(&source, message).at_name(name);
                            self.report_entry(name, &path, problem.hint("take it out of the list"));
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

    /// Reports something about an entry of a list, at its own line.
    fn report_entry(&mut self, list: &str, entry: &str, mut problem: Problem) {
        let written = self.written.get(list);
        if let Some((written, excerpt)) = written.and_then(|w| Some((w, self.files.entry(list, w, entry)?))) {
            problem.origin = Origin::at(written.file.display().to_string(), excerpt.place());
            problem.excerpt = Some(excerpt);
        }
        self.report(problem);
    }

    pub(super) fn walk_conf_dirs(&mut self) {
        let commented = std::mem::take(&mut self.conf_dirs);
        let view = self.view();
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
            let problem = Problem::warning(origin, message).at_name(list.0).hint("mend the path, or take it out");
            self.report_entry(list.0, named, problem);
            self.conf_dirs.push(ConfDir { path, active: false, reason: Some(ConfDir::MISSING.to_owned()) });
            return;
        }
        let defaults = path.join("default.env");
        if fs::read(&defaults).is_ok_and(|t| String::from_utf8_lossy(&t).contains("COMPONENT_DEPENDENCIES")) {
            let file = word(defaults.as_os_str().as_bytes());
            let code = [
                b"(unset COMPONENT_DEPENDENCIES; \\. ".to_vec(),
                file,
                b"; __tender_dump peek 0 -) 2>/dev/null".to_vec(),
            ]
            .concat();
            let peeked = self.run(&code, &defaults).and_then(|ran| ran.peeked);
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
}

/// A list in its own text where nothing was taken out; else an entry a line, because stacks look for
/// a component at the end of one.
fn rejoined(text: &str, kept: &[String]) -> String {
    let same = text.split_ascii_whitespace().eq(kept.iter().map(String::as_str));
    if same { text.to_owned() } else { kept.join("\n") }
}
