//! Hooks that are sourced before `up`: their variables reach compose, so they belong to the
//! configuration, or the hashes of a stage were never those of what runs.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::Reader;
use crate::config::shell::{End, word};
use crate::config::{HookKind, Problem};

/// Time for all of them. At a deploy they may take longer.
const LIMIT: Duration = Duration::from_secs(10);

impl Reader<'_> {
    /// Reads them in the order of the conf dirs, after everything else. They are programs for
    /// another place, with the engine at hand: that one fails here says nothing.
    pub(super) fn read_includes(&mut self) {
        let complete = self.complete;
        self.shell.hurry(LIMIT);
        let dirs: Vec<_> = self.conf_dirs.iter().filter(|d| d.active).map(|d| d.path.clone()).collect();
        for file in dirs.iter().map(|dir| dir.join(HookKind::Include.file())).filter(|file| file.is_file()) {
            let problems = self.problems.len();
            let code = [b"\\. ".to_vec(), word(file.as_os_str().as_bytes())].concat();
            let ended = self.run(&code, &file).map(|ran| ran.end);
            self.problems.truncate(problems);
            if ended == Some(End::TimedOut) {
                self.report(
                    Problem::warning(file.display().to_string(), "does not end without the engine at hand")
                        .hint("variables that it sets do not reach compose; set them before it waits for something"),
                );
            }
        }
        self.shell.relax();
        self.complete = complete;
        self.hold_firm();
    }
}
