//! One run over a folder of logs.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind;

use anyhow::{Context, Result};
use rustix::fs::{FileType, SeekFrom, Stat, fstat, seek};

use super::cut::is_ours;
use super::folder::{Folder, is_file};
use super::journal::{Desk, Plan};
use super::name::{Stamp, can_be_log, expired, fits, shown};
use super::policy::{Compression, Keep, Method, Naming, Sight, Verdict};
use super::report::{Failed, Report, Rotated, bytes};
use super::rotation::{self, Done, Step, Watch};
use super::state::{NoState, State};
use super::{Options, lock};
use crate::runner::joblog;

/// See [`super::run`].
///
/// # Errors
/// See [`super::run`].
pub fn run(options: &Options, say: &mut dyn FnMut(&str), watch: Watch) -> Result<Report> {
    let dry = options.dry_run;
    let _lock = if dry { None } else { lock::take(&options.state_file, options.lock)? };
    let desk = Desk::of(&options.state_file);
    let mut round =
        Round { options, say, watch, desk, state: State::default(), changed: false, report: Report::default() };
    round.read_state()?;
    if dry {
        if round.desk.journal.read()?.is_some() {
            (round.say)("a rotation that was cut short would be finished first");
        }
    } else {
        round.recover()?;
    }
    round.rotate_all()?;
    if round.changed && !dry {
        round.state.forget_old(options.now);
        round.remember()?;
    }
    Ok(round.report)
}

struct Round<'a> {
    options: &'a Options,
    say: &'a mut dyn FnMut(&str),
    watch: Watch<'a>,
    desk: Desk,
    state: State,
    /// Whether the state is ahead of its file.
    changed: bool,
    report: Report,
}

/// What came of one log.
enum Fate {
    Rotated(Done),
    Skipped(String),
    Quiet,
}

impl Round<'_> {
    /// A state that is none is set aside: never rotating again would be worse than counting anew.
    fn read_state(&mut self) -> Result<()> {
        let path = &self.options.state_file;
        let shown = path.display().to_string();
        match State::read(path, self.options.zone) {
            Ok((state, bad)) => {
                self.state = state;
                for line in bad {
                    self.fail(&shown, format!("line {line} was not understood and is left out"));
                }
            }
            Err(error) if error.is::<NoState>() => {
                let aside = super::beside(path, ".damaged");
                self.fail(&shown, format!("{error}; set aside as {}", aside.display()));
                if !self.options.dry_run {
                    std::fs::rename(path, &aside).with_context(|| format!("failed to set {shown} aside"))?;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn recover(&mut self) -> Result<()> {
        let done = rotation::recover(&self.desk, self.watch)
            .with_context(|| format!("failed to finish what {} speaks of", self.desk.journal.path().display()))?;
        let Some((done, folder)) = done else { return Ok(()) };
        (self.say)(&format!("{}: finishing a rotation that was cut short", shown(&done.plan.log)));
        self.complete(done, &folder)
    }

    fn rotate_all(&mut self) -> Result<()> {
        let path = &self.options.log_dir;
        let folder = match Folder::open(path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == ErrorKind::NotFound && self.options.policy.missing_ok => {
                (self.say)(&format!("{} does not exist: nothing to rotate", path.display()));
                return Ok(());
            }
            Err(error) => return Err(error).with_context(|| format!("failed to open {}", path.display())),
        };
        let names = folder.names().with_context(|| format!("failed to read {}", path.display()))?;
        if !self.options.dry_run && self.options.lock != lock::Lock::Skip {
            for name in rotation::leftovers(&names) {
                let removed = folder.remove(name);
                self.note_removal(name, removed);
            }
        }
        let logs: Vec<&OsString> = names.iter().filter(|name| self.is_log(name)).collect();
        for name in logs {
            match self.one(&folder, name, &names) {
                Ok(Fate::Rotated(done)) => self.complete(done, &folder)?,
                Ok(Fate::Skipped(why)) => {
                    (self.say)(&format!("{}: skipped: {why}", shown(name)));
                    self.report.skipped.push(Failed { log: shown(name), why });
                }
                Ok(Fate::Quiet) => {}
                Err(error) => {
                    self.fail(&shown(name), format!("{error:#}"));
                    if self.desk.journal.read()?.is_some() {
                        (self.say)("the logs after it are left for the next run, which finishes this one first");
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn is_log(&self, name: &OsStr) -> bool {
        can_be_log(name) && self.options.patterns.iter().any(|pattern| fits(pattern, name))
    }

    /// Judges a log, and rotates it when it is due.
    fn one(&mut self, folder: &Folder, name: &OsStr, names: &[OsString]) -> Result<Fate> {
        let Some(stat) = folder.look(name)? else { return Ok(Fate::Quiet) };
        if let Some(why) = unfit(&stat) {
            return Ok(Fate::Skipped(why.to_owned()));
        }
        self.report.looked_at += 1;
        if !self.is_due(folder, name, &stat)? {
            return Ok(Fate::Quiet);
        }
        let log = folder.open_file(name)?;
        let about = fstat(&log)?;
        if let Some(why) = unfit(&about) {
            return Ok(Fate::Skipped(why.to_owned()));
        }
        let start = hole(&log);
        let ours = !self.options.dry_run && is_ours(folder, name)?;
        // Not within a batch of our own writer, which takes back what a full disk cuts short.
        let end =
            if ours { joblog::settled(&folder.path().join(name))?.metadata()?.len() } else { log.metadata()?.len() };
        if end <= start {
            return Ok(Fate::Quiet);
        }
        let Compression::Gzip(level) = self.options.policy.compression;
        let Naming::Dated = self.options.policy.naming;
        let date = self.options.now.with_timezone(&self.options.zone).date_naive();
        let plan = Plan {
            folder: folder.path().as_os_str().to_owned(),
            log: name.to_owned(),
            inode: about.st_ino,
            archive: Stamp::next(name, date, names).name(name),
            level,
            start,
            at: self.options.now,
        };
        if self.options.dry_run {
            let (log, archive) = (shown(name), shown(&plan.archive));
            (self.say)(&format!("{log}: would be rotated to {archive} ({})", bytes(end - start)));
            return Ok(Fate::Quiet);
        }
        let Method::CopyTruncate = self.options.policy.method;
        let mut done = rotation::rotate(&self.desk, folder, plan, &log, end, self.watch)?;
        if start > 0 {
            let hole = format!("its writer does not append: a hole of {} is left out", bytes(start));
            done.remark = Some(done.remark.map_or(hole.clone(), |remark| format!("{hole}; {remark}")));
        }
        Ok(Fate::Rotated(done))
    }

    fn is_due(&mut self, folder: &Folder, name: &OsStr, stat: &Stat) -> Result<bool> {
        let path = folder.path().join(name);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        // Fewer blocks than bytes: perhaps a hole, which only the open file can tell.
        let holed = blocks.saturating_mul(512).saturating_add(4096) < size;
        let size = if holed { size.saturating_sub(hole(&folder.open_file(name)?)) } else { size };
        let sight = Sight { size, last: self.state.last(&path) };
        let Options { policy, now, zone, force, .. } = self.options;
        Ok(match policy.judge(sight, *now, *zone, *force) {
            Verdict::Rotate => true,
            Verdict::Remember => {
                self.state.set(&path, *now);
                self.changed = true;
                self.explain(name, &format!("seen for the first time ({})", bytes(size)));
                false
            }
            Verdict::Wait => {
                self.explain(name, &format!("not due ({})", bytes(size)));
                false
            }
        })
    }

    /// The end of a rotation: the state names it, the journal no longer does, old archives go.
    fn complete(&mut self, done: Done, folder: &Folder) -> Result<()> {
        self.state.set(&done.plan.path(), done.plan.at);
        self.remember()?;
        (self.watch)(Step::Remembered);
        self.desk.journal.clear()?;
        let Done { plan, before, after, remark } = done;
        let (log, archive) = (shown(&plan.log), shown(&plan.archive));
        (self.say)(&format!("{log}: rotated to {archive} ({} → {})", bytes(before), bytes(after)));
        if let Some(remark) = &remark {
            (self.say)(&format!("{log}: {remark}"));
        }
        let removed = self.retain(&plan, folder)?;
        self.report.rotated.push(Rotated { log, archive, before, after, removed, remark });
        Ok(())
    }

    /// Removes the archives of a log that are too many.
    fn retain(&mut self, plan: &Plan, folder: &Folder) -> Result<Vec<String>> {
        let Keep::Newest(keep) = self.options.policy.keep;
        let mut gone = Vec::new();
        for name in expired(&plan.log, &folder.names()?, keep, &plan.archive) {
            let removed = folder.remove(&name);
            if removed.is_ok() {
                gone.push(shown(&name));
            }
            self.note_removal(&name, removed);
        }
        Ok(gone)
    }

    fn note_removal(&mut self, name: &OsStr, removed: std::io::Result<()>) {
        match removed {
            Ok(()) => (self.say)(&format!("{}: removed", shown(name))),
            Err(error) => self.fail(&shown(name), format!("failed to remove it: {error}")),
        }
    }

    fn remember(&mut self) -> Result<()> {
        crate::journal::replace(&self.options.state_file, &self.state.render())?;
        self.changed = false;
        Ok(())
    }

    fn explain(&mut self, name: &OsStr, what: &str) {
        if self.options.verbose {
            (self.say)(&format!("{}: {what}", shown(name)));
        }
    }

    fn fail(&mut self, log: &str, why: String) {
        (self.say)(&format!("{log}: failed: {why}"));
        self.report.failed.push(Failed { log: log.to_owned(), why });
    }
}

/// Why a file is never rotated.
fn unfit(stat: &Stat) -> Option<&'static str> {
    match stat {
        _ if FileType::from_raw_mode(stat.st_mode).is_symlink() => Some("a symbolic link"),
        _ if !is_file(stat) => Some("no regular file"),
        _ if stat.st_nlink > 1 => Some("it has other names (hard links)"),
        _ => None,
    }
}

/// Bytes of the hole at the head of a file: what a writer that does not append leaves after a cut.
fn hole(log: &File) -> u64 {
    seek(log, SeekFrom::Data(0)).unwrap_or(0)
}
