//! Rotation of logs, on real files: what is due, what is kept, and that no line is lost or doubled
//! whenever it is killed.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // its helpers are test code as well

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use flate2::read::MultiGzDecoder;
use tempfile::TempDir;
use tender::builtin::rotate::name::Stamp;
use tender::builtin::rotate::policy::Keep;
use tender::builtin::rotate::{Args, Lock, Locked, Options, Report, Step, cli_main, run, run_watched};
use tender::run::RunId;
use tender::runner::joblog;
use tender::runner::projection::Progress;

/// A folder of logs and a state file.
struct Site {
    dir: TempDir,
}

impl Site {
    fn new() -> Self {
        Self::on(std::env::temp_dir())
    }

    /// In memory where there is such a place: for many short cases, of which each would sync.
    fn quick() -> Self {
        let memory = PathBuf::from("/dev/shm");
        Self::on(if memory.is_dir() { memory } else { std::env::temp_dir() })
    }

    fn on(place: PathBuf) -> Self {
        let dir = tempfile::tempdir_in(place).unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        Self { dir }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state/logrotate")
    }

    fn options(&self, now: &str) -> Options {
        Options::new(self.dir.path().join("logs"), self.state(), now.parse().unwrap(), Tz::UTC)
    }

    fn forced(&self, now: &str) -> Options {
        Options { force: true, ..self.options(now) }
    }

    fn names(&self) -> Vec<String> {
        names(&self.dir.path().join("logs"))
    }

    /// What archives and log hold together, in order; every archive must be whole.
    fn content(&self, log: &str) -> String {
        let mut archives: Vec<(Stamp, String)> =
            self.names().into_iter().filter_map(|n| Some((Stamp::of(log.as_ref(), n.as_ref())?, n))).collect();
        archives.sort();
        let mut text: String = archives.iter().map(|(_, name)| unpack(&self.log(name))).collect();
        text.push_str(&fs::read_to_string(self.log(log)).unwrap_or_default());
        text
    }

    /// Nothing but logs, notes and archives; no journal, no tail.
    fn assert_tidy(&self) {
        let strange: Vec<String> =
            self.names().into_iter().filter(|n| n.starts_with('.') || n.ends_with(".new")).collect();
        assert!(strange.is_empty(), "{strange:?}");
        let left: Vec<String> = names(self.state().parent().unwrap())
            .into_iter()
            .filter(|n| !["logrotate", "logrotate.lock"].contains(&n.as_str()))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn unpack(path: &Path) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("{n:08} a line of a log that somebody writes\n")).collect()
}

fn append(path: &Path, text: &str) {
    File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn rotate(options: &Options) -> (Report, Vec<String>) {
    let mut said = Vec::new();
    let report = run(options, &mut |line| said.push(line.to_owned())).unwrap();
    (report, said)
}

/// Runs until after this step, and ends there as a kill would: nothing of the program runs on.
fn killed_after(options: &Options, wanted: Step, at_step: &mut dyn FnMut(Step)) -> bool {
    let run = || {
        run_watched(options, &mut |_| {}, &mut |step| {
            at_step(step);
            if step == wanted {
                std::panic::resume_unwind(Box::new("killed"));
            }
        })
        .unwrap()
    };
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

#[test]
fn weeks_of_a_log_leave_six_archives_and_lose_nothing_of_them() {
    let site = Site::new();
    let path = site.log("autodeploy.log");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let inode = path.metadata().unwrap().ino();
    let start: DateTime<Utc> = "2026-03-02T03:00:00Z".parse().unwrap(); // a Monday
    let (mut written, mut rotated) = (0, Vec::new());
    for day in 0..10 * 7 {
        append(&path, &lines(written..written + 3000)); // about 140 kB a day
        written += 3000;
        let now = start + TimeDelta::days(day);
        let (report, said) = rotate(&site.options(&now.to_rfc3339()));
        assert_eq!(report.exit_code(), 0);
        assert_eq!(report.looked_at, 1);
        for one in report.rotated {
            assert!(said[0].starts_with(&format!("autodeploy.log: rotated to {} (", one.archive)), "{said:?}");
            rotated.push(one.archive);
        }
    }
    // The first sight is remembered only; then every Sunday.
    assert_eq!(rotated.len(), 10);
    assert_eq!(rotated[..2], ["autodeploy.log-20260308.gz", "autodeploy.log-20260315.gz"]);
    let kept: Vec<String> = rotated[4..].to_vec();
    assert_eq!(site.names(), [&["autodeploy.log".to_owned()][..], &kept].concat());
    let last_kept = lines(4 * 7 * 3000..written);
    assert_eq!(site.content("autodeploy.log"), last_kept);
    assert_eq!(path.metadata().unwrap().ino(), inode);
    for name in &kept {
        let about = site.log(name).metadata().unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o640);
        let ok = Command::new("gzip").arg("-t").arg(site.log(name)).status().unwrap();
        assert!(ok.success());
    }
    site.assert_tidy();
}

#[test]
fn a_first_look_remembers_or_rotates_what_is_over_the_bound() {
    let site = Site::new();
    fs::write(site.log("small.log"), lines(0..20_000)).unwrap();
    fs::write(site.log("huge.log"), lines(0..1_200_000)).unwrap();
    let (report, _) = rotate(&site.options("2026-03-29T00:00:00Z"));
    assert_eq!(report.rotated.len(), 1);
    assert_eq!(site.names(), ["huge.log", "huge.log-20260329.gz", "small.log"]);
    assert_eq!(site.content("huge.log"), lines(0..1_200_000));
    let (report, said) = rotate(&site.options("2026-03-29T00:10:00Z"));
    assert_eq!((report.rotated.len(), report.looked_at), (0, 2), "{said:?}");
    let (report, _) = rotate(&site.options("2026-04-05T00:00:00Z"));
    assert_eq!(report.rotated[0].archive, "small.log-20260405.gz");
}

#[test]
fn archives_of_one_day_never_overwrite_each_other() {
    let site = Site::new();
    for round in 0..4 {
        append(&site.log("a.log"), &lines(round * 10..round * 10 + 10));
        rotate(&site.forced("2026-03-29T00:00:00Z"));
    }
    let wanted = ["a.log", "a.log-20260329-1.gz", "a.log-20260329-2.gz", "a.log-20260329-3.gz", "a.log-20260329.gz"];
    assert_eq!(site.names(), wanted);
    assert_eq!(site.content("a.log"), lines(0..40));
    let (report, _) = rotate(&site.forced("2026-03-29T00:00:00Z"));
    assert!(report.rotated.is_empty(), "an empty log is not rotated");
}

const STEPS: [Step; 8] = [
    Step::Planned,
    Step::Copied,
    Step::Recorded,
    Step::Published,
    Step::TailSaved,
    Step::Cut,
    Step::TailPacked,
    Step::Remembered,
];

#[test]
fn killed_after_any_step_every_line_is_there_once() {
    for tail in [false, true] {
        for step in STEPS {
            for later in [0, 5, 30_000] {
                let site = Site::quick();
                let path = site.log("a.log");
                append(&path, &lines(0..20_000));
                let written = RefCell::new(20_000);
                let write = |count: u32| {
                    let from = *written.borrow();
                    append(&path, &lines(from..from + count));
                    *written.borrow_mut() += count;
                };
                let mut at_step = |step| {
                    if tail && [Step::Copied, Step::Published].contains(&step) {
                        write(100);
                    }
                };
                assert!(killed_after(&site.forced("2026-03-29T00:00:00Z"), step, &mut at_step), "{step:?}");
                write(later);
                let (report, said) = rotate(&site.options("2026-03-29T00:10:00Z"));
                assert_eq!(report.failed, [], "{step:?} {said:?}");
                let all = lines(0..*written.borrow());
                assert!(site.content("a.log") == all, "{step:?} tail {tail} later {later} {said:?}");
                site.assert_tidy();
                // Finished or taken back, and the state knows which.
                let archived = site.names().len() == 2;
                assert_eq!(archived, ![Step::Planned, Step::Copied, Step::Recorded].contains(&step), "{step:?}");
                let state = fs::read_to_string(site.state()).unwrap();
                assert!(state.contains(if archived { "2026-3-29-0:0:0Z" } else { "2026-3-29-0:10:0Z" }), "{state}");
            }
        }
    }
}

#[test]
fn killed_again_while_finishing_every_line_is_there_once() {
    for first in STEPS {
        for second in STEPS {
            let site = Site::quick();
            let path = site.log("a.log");
            append(&path, &lines(0..5000));
            let mut at_step = |step| {
                if step == Step::Published && path.metadata().unwrap().len() == lines(0..5000).len() as u64 {
                    append(&path, &lines(5000..5100));
                }
            };
            assert!(killed_after(&site.forced("2026-03-29T00:00:00Z"), first, &mut at_step));
            killed_after(&site.forced("2026-03-29T00:10:00Z"), second, &mut at_step);
            let (report, said) = rotate(&site.options("2026-03-29T00:20:00Z"));
            assert_eq!(report.failed, [], "{first:?} {second:?} {said:?}");
            let published = site.content("a.log").len() > lines(0..5000).len();
            let all = lines(0..if published { 5100 } else { 5000 });
            assert!(site.content("a.log") == all, "{first:?} {second:?} {said:?}");
            site.assert_tidy();
        }
    }
}

/// The writer of a log that Tender writes itself.
struct Writer {
    log: PathBuf,
    run: RunId,
    /// What the log is to hold, ever.
    spool: String,
}

impl Writer {
    fn open(path: &Path) -> Self {
        Self { log: path.to_owned(), run: RunId("one".to_owned()), spool: String::new() }
    }

    fn batch(&mut self, text: &str) {
        let before = Progress { out: self.spool.len() as u64, ..Progress::default() };
        self.spool.push_str(text);
        joblog::append(&self.log, &self.run, &before, text.as_bytes()).unwrap();
    }

    /// Takes back the end of the last batch: what a crash within the write leaves.
    fn tear(&self) {
        let log = File::options().write(true).open(&self.log).unwrap();
        log.set_len(log.metadata().unwrap().len() - 7).unwrap();
    }

    /// What a writer does that finds log and note after a crash: it completes the batch.
    fn recover(&self) {
        let progress = joblog::progress(&self.log, &self.run).unwrap().unwrap();
        let done = progress.out + progress.extra;
        let before = Progress { out: done, ..Progress::default() };
        joblog::append(&self.log, &self.run, &before, &self.spool.as_bytes()[done as usize..]).unwrap();
    }
}

#[test]
fn killed_after_any_step_our_own_writer_goes_on_without_loss() {
    for torn in [false, true] {
        for step in STEPS {
            for writer_first in [false, true] {
                let site = Site::quick();
                let path = site.log("a.log");
                let mut writer = Writer::open(&path);
                for n in 0..50 {
                    writer.batch(&lines(n * 100..n * 100 + 100));
                }
                let mut at_step = |at| {
                    if at == Step::Copied {
                        writer.batch(&lines(5000..5100));
                        if torn {
                            writer.tear();
                        }
                    }
                };
                assert!(killed_after(&site.forced("2026-03-29T00:00:00Z"), step, &mut at_step), "{step:?}");
                let case = format!("{step:?} torn {torn} writer first {writer_first}");
                if step == Step::Planned {
                    writer.batch(&lines(5000..5100));
                }
                if writer_first {
                    writer.recover();
                    writer.batch(&lines(5100..5200));
                }
                let (report, said) = rotate(&site.options("2026-03-29T00:10:00Z"));
                assert_eq!(report.failed, [], "{case} {said:?}");
                if !writer_first {
                    writer.recover();
                    writer.batch(&lines(5100..5200));
                }
                writer.recover();
                let content = site.content("a.log");
                assert!(content == writer.spool, "{case}: {} of {}; {said:?}", content.len(), writer.spool.len());
                assert_eq!(content, lines(0..5200), "{case}");
                site.assert_tidy();
            }
        }
    }
}

#[test]
fn a_log_of_one_short_run_is_rotated_as_a_whole() {
    let site = Site::new();
    let path = site.log("a.log");
    let (mut writer, text) = (Writer::open(&path), lines(0..3));
    writer.batch(&text);
    // Under way: what the writer finds later must not make it write the text again.
    assert_eq!(rotate(&site.forced("2026-03-29T00:00:00Z")).0.rotated.len(), 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    writer.recover();
    writer.batch(&lines(3..6));
    // Over: the note is shorter now, and its first line is followed by the end of the older one.
    joblog::forget(&path, &writer.run).unwrap();
    let note = fs::read_to_string(joblog::pos_path(&path)).unwrap();
    assert!(note.lines().count() > 1, "{note}");
    let (report, said) = rotate(&site.forced("2026-04-05T00:00:00Z"));
    assert_eq!((report.rotated.len(), report.failed.len()), (1, 0), "{said:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    assert_eq!(site.content("a.log"), lines(0..6));
    let mut next = Writer { run: RunId("two".to_owned()), ..Writer::open(&path) };
    next.batch(&text);
    next.recover();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    site.assert_tidy();
}

#[test]
fn a_writer_that_does_not_let_go_costs_nothing() {
    let site = Site::new();
    let path = site.log("a.log");
    let mut writer = Writer::open(&path);
    writer.batch(&lines(0..100));
    let held = File::open(&path).unwrap();
    held.lock().unwrap();
    let (report, _) = rotate(&site.forced("2026-03-29T00:00:00Z"));
    assert_eq!((report.rotated.len(), report.failed.len()), (0, 1));
    assert!(report.failed[0].why.contains("locked by another process"), "{}", report.failed[0].why);
    assert_eq!(
        (fs::read_to_string(&path).unwrap(), site.names()),
        (lines(0..100), vec!["a.log".into(), "a.log.pos".into()])
    );
    drop(held);
    assert_eq!(rotate(&site.forced("2026-03-29T00:00:00Z")).0.rotated.len(), 1);
}

#[test]
fn our_own_writer_at_work_loses_and_doubles_nothing() {
    let site = Site::quick();
    let path = site.log("a.log");
    let mut writer = Writer::open(&path);
    writer.batch(&lines(0..1000));
    let archives = AtomicUsize::new(0);
    let written = std::thread::scope(|scope| {
        let handle = scope.spawn(|| {
            let mut n = 0;
            while (archives.load(Ordering::Acquire) < 6 || n < 300) && n < 20_000 {
                n += 1;
                writer.batch(&lines(n * 50 + 950..n * 50 + 1000));
                std::thread::sleep(Duration::from_micros(500)); // a pace that packing keeps up with
            }
            n * 50 + 1000
        });
        while !handle.is_finished() {
            let mut options = site.forced("2026-03-29T00:00:00Z");
            options.policy.keep = Keep::Newest(10_000);
            let (report, said) = rotate(&options);
            assert_eq!(report.failed, [], "{said:?}");
            archives.fetch_add(report.rotated.len(), Ordering::Release);
        }
        handle.join().unwrap()
    });
    assert!(archives.into_inner() >= 6);
    assert!(site.content("a.log") == lines(0..written) && writer.spool == lines(0..written));
    site.assert_tidy();
}

#[test]
fn a_foreign_writer_at_full_speed_gets_nothing_doubled() {
    let site = Site::new();
    let path = site.log("a.log");
    append(&path, &lines(0..2000));
    let rotations = AtomicUsize::new(0);
    let written = std::thread::scope(|scope| {
        let handle = scope.spawn(|| {
            let mut log = File::options().append(true).open(&path).unwrap();
            let mut n = 2000;
            while n < 300_000 {
                log.write_all(lines(n..n + 1).as_bytes()).unwrap();
                n += 1;
            }
            n as usize
        });
        while !handle.is_finished() {
            let mut options = site.forced("2026-03-29T00:00:00Z");
            options.policy.keep = Keep::Newest(10_000);
            let (report, said) = rotate(&options);
            assert_eq!(report.failed, [], "{said:?}");
            rotations.fetch_add(report.rotated.len(), Ordering::Release);
        }
        handle.join().unwrap()
    });
    let content = site.content("a.log");
    // A cut may part a line: its head, which runs into a later line, is no number.
    let number = |line: &str| line.get(..8)?.parse().ok().filter(|n| lines(*n..n + 1).trim_end() == line);
    let numbers: Vec<u32> = content.lines().filter_map(number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "doubled or out of order");
    // What comes in between the last read and the cut of a rotation is lost, and nothing else: at
    // most one gap for each.
    let gaps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    let (lost, rotations) = (written - numbers.len(), rotations.into_inner());
    println!("{lost} of {written} lines lost in {rotations} rotations, {gaps} gaps");
    assert!(gaps <= rotations); // how long a gap is depends on the load of the machine
    site.assert_tidy();
}

#[test]
fn sigkill_at_any_instant_loses_and_doubles_nothing() {
    let site = Site::new();
    let path = site.log("a.log");
    let mut written = 0;
    for millis in [0, 1, 2, 4, 7, 11, 16, 22, 30, 45, 60, 80, 100, 130, 170, 220] {
        append(&path, &lines(written..written + 60_000));
        written += 60_000;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture"])
            .env("ROTATE_SITE", site.dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(millis)); // the instant of the kill
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut options = site.options("2026-03-29T01:00:00Z");
    options.policy.keep = Keep::Newest(1000);
    let (report, said) = rotate(&options);
    assert_eq!(report.failed, [], "{said:?}");
    assert!(site.content("a.log") == lines(0..written), "{said:?}");
    site.assert_tidy();
}

/// Not a case of its own: what [`sigkill_at_any_instant_loses_and_doubles_nothing`] kills.
#[test]
fn child_that_is_killed() {
    let Some(dir) = std::env::var_os("ROTATE_SITE").map(PathBuf::from) else { return };
    let mut options =
        Options::new(dir.join("logs"), dir.join("state/logrotate"), "2026-03-29T00:00:00Z".parse().unwrap(), Tz::UTC);
    options.force = true;
    options.policy.keep = Keep::Newest(1000);
    run(&options, &mut |_| {}).unwrap();
}

#[test]
fn links_fifos_folders_notes_and_archives_are_never_touched() {
    let site = Site::new();
    let outside = site.dir.path().join("outside.log");
    fs::write(&outside, lines(0..100)).unwrap();
    symlink(&outside, site.log("link.log")).unwrap();
    fs::hard_link(&outside, site.log("hard.log")).unwrap();
    fs::create_dir(site.log("folder.log")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, site.log("fifo.log"), mode).unwrap();
    fs::write(site.log("old.log-20260101.gz"), "x").unwrap();
    fs::write(site.log("good.log.pos"), "{\"inode\":1,\"size\":1}").unwrap();
    fs::write(site.log("good.log"), lines(0..100)).unwrap();
    let mut options = site.forced("2026-03-29T00:00:00Z");
    options.patterns = vec!["*".into()];
    let (report, said) = rotate(&options);
    let skipped: Vec<&str> = report.skipped.iter().map(|s| s.log.as_str()).collect();
    assert_eq!(skipped, ["fifo.log", "folder.log", "hard.log", "link.log"], "{said:?}");
    assert_eq!(report.rotated.iter().map(|r| r.log.as_str()).collect::<Vec<_>>(), ["good.log"]);
    assert_eq!(report.exit_code(), 0);
    assert_eq!(fs::read_to_string(&outside).unwrap(), lines(0..100));
    assert_eq!(fs::read_to_string(site.log("old.log-20260101.gz")).unwrap(), "x");
    // The note speaks of another file: it stays as it is.
    assert_eq!(fs::read_to_string(site.log("good.log.pos")).unwrap(), "{\"inode\":1,\"size\":1}");
}

#[test]
fn odd_names_are_names() {
    use std::os::unix::ffi::OsStrExt;
    let site = Site::new();
    let odd: [&[u8]; 5] = [b"a b.log", b"q\"uo'te.log", b"new\nline.log", b"$(reboot).log", b"\xff\xfe.log"];
    for name in odd {
        fs::write(site.dir.path().join("logs").join(std::ffi::OsStr::from_bytes(name)), lines(0..10)).unwrap();
    }
    let (report, said) = rotate(&site.forced("2026-03-29T00:00:00Z"));
    assert_eq!(report.rotated.len(), odd.len(), "{said:?}");
    assert!(said.iter().all(|line| !line.contains('\n')), "{said:?}");
    for name in odd {
        let archive = [name, b"-20260329.gz"].concat();
        let path = site.dir.path().join("logs").join(std::ffi::OsStr::from_bytes(&archive));
        assert_eq!(unpack(&path), lines(0..10));
    }
    // All are remembered: nothing is due on the same day.
    let (report, _) = rotate(&site.options("2026-03-29T00:10:00Z"));
    assert!(report.rotated.is_empty());
}

#[test]
fn a_dry_run_changes_nothing() {
    let site = Site::new();
    fs::write(site.log("a.log"), lines(0..20_000)).unwrap();
    fs::write(site.log("b.log"), lines(0..10)).unwrap();
    let options = Options { dry_run: true, verbose: true, ..site.forced("2026-03-29T00:00:00Z") };
    let (report, said) = rotate(&options);
    assert_eq!((report.rotated.len(), report.looked_at), (0, 2));
    assert_eq!(said[0], "a.log: would be rotated to a.log-20260329.gz (920 kB)");
    assert_eq!(names(site.dir.path()), ["logs"]);
    assert_eq!(site.names(), ["a.log", "b.log"]);
    assert_eq!(fs::read_to_string(site.log("a.log")).unwrap(), lines(0..20_000));
}

#[test]
fn the_state_of_logrotate_is_taken_over() {
    let site = Site::new();
    for name in ["old.log", "new.log"] {
        fs::write(site.log(name), lines(0..20_000)).unwrap();
    }
    fs::create_dir(site.state().parent().unwrap()).unwrap();
    let text = format!(
        "logrotate state -- version 2\n\"{}\" 2026-3-1-5:0:0\n\"{}\" 2026-3-25-5:0:0\n",
        site.log("old.log").display(),
        site.log("new.log").display()
    );
    fs::write(site.state(), text).unwrap();
    let (report, _) = rotate(&site.options("2026-03-26T00:00:00Z"));
    assert_eq!(report.rotated.iter().map(|r| r.log.as_str()).collect::<Vec<_>>(), ["old.log"]);
    let state = fs::read_to_string(site.state()).unwrap();
    assert!(state.starts_with("logrotate state -- version 2\n") && state.contains("old.log\" 2026-3-26-0:0:0Z\n"));
    assert!(state.contains("new.log\" 2026-3-25-5:0:0Z\n"), "{state}");
}

#[test]
fn a_damaged_state_is_set_aside_and_told() {
    let site = Site::new();
    fs::create_dir(site.state().parent().unwrap()).unwrap();
    fs::write(site.state(), "garbage").unwrap();
    fs::write(site.log("a.log"), lines(0..20_000)).unwrap();
    let (report, said) = rotate(&site.options("2026-03-26T00:00:00Z"));
    assert_eq!(report.exit_code(), 1, "{said:?}");
    let (report, _) = rotate(&site.options("2026-04-26T00:00:00Z"));
    assert_eq!((report.exit_code(), report.rotated.len()), (0, 1));
    assert_eq!(fs::read_to_string(site.state().with_extension("damaged")).unwrap(), "garbage");
}

#[test]
fn what_fails_leaves_the_log_whole_and_is_tried_again() {
    let site = Site::new();
    let path = site.log("a.log");
    append(&path, &lines(0..20_000));
    append(&site.log("b.log"), &lines(0..20_000));
    // Somebody replaces the log while it is packed.
    let mut said = Vec::new();
    let report = run_watched(&site.forced("2026-03-29T00:00:00Z"), &mut |l| said.push(l.to_owned()), &mut |step| {
        if step == Step::Copied && !site.log("moved").exists() {
            fs::rename(&path, site.log("moved")).unwrap();
            fs::write(&path, lines(0..10)).unwrap();
        }
    })
    .unwrap();
    assert_eq!((report.exit_code(), report.failed[0].log.as_str()), (1, "a.log"), "{said:?}");
    assert_eq!(report.rotated[0].log, "b.log");
    assert_eq!(site.names(), ["a.log", "b.log", "b.log-20260329.gz", "moved"]);
    assert!(!fs::read_to_string(site.state()).unwrap().contains("a.log"));
    site.assert_tidy();

    // The tail cannot be saved, nor the attempt be taken back; the next run can.
    let tail = PathBuf::from(format!("{}.tail", site.state().display()));
    let report = run_watched(&site.forced("2026-03-29T00:00:00Z"), &mut |_| {}, &mut |step| {
        if step == Step::Published {
            fs::create_dir(&tail).unwrap();
        }
    })
    .unwrap();
    assert_eq!(report.failed.len(), 1);
    assert!(run(&site.options("2026-03-29T00:10:00Z"), &mut |_| {}).is_err());
    fs::remove_dir(&tail).unwrap();
    let (report, said) = rotate(&site.forced("2026-03-29T00:20:00Z"));
    assert_eq!((report.exit_code(), site.content("a.log")), (0, lines(0..10)), "{said:?}");
    site.assert_tidy();
}

#[test]
fn a_writer_that_does_not_append_is_named_and_its_hole_left_out() {
    let site = Site::new();
    let path = site.log("a.log");
    fs::write(&path, lines(0..20_000)).unwrap();
    let writer = File::options().write(true).open(&path).unwrap();
    let at = path.metadata().unwrap().len();
    rotate(&site.forced("2026-03-29T00:00:00Z"));
    writer.write_all_at(lines(20_000..20_100).as_bytes(), at).unwrap();
    let (report, _) = rotate(&site.forced("2026-03-30T00:00:00Z"));
    let remark = report.rotated[0].remark.clone().unwrap();
    assert!(remark.contains("does not append"), "{remark}");
    assert!(report.rotated[0].before < 20_000, "{report:?}");
    assert_eq!(site.content("a.log").trim_start_matches(|c| c != '\0').trim_start_matches('\0'), lines(20_000..20_100));
}

fn args(site: &Site) -> Args {
    Args {
        configs: Vec::new(),
        state: site.state(),
        log_dir: site.dir.path().join("logs"),
        force: false,
        dry_run: false,
        verbose: false,
        log: None,
        lock: Lock::Fail,
    }
}

#[test]
fn by_hand_it_ends_with_the_codes_of_logrotate() {
    let site = Site::new();
    fs::write(site.log("a.log"), lines(0..10)).unwrap();
    let now: DateTime<Utc> = "2026-03-29T00:00:00Z".parse().unwrap();
    let call = |args: &Args| {
        let mut said = Vec::new();
        let code = cli_main(args, now, Tz::UTC, &mut |line| said.push(line.to_owned()));
        (code, said)
    };
    assert_eq!(call(&args(&site)), (0, vec!["nothing to rotate: 1 log looked at".to_owned()]));

    let copy = site.dir.path().join("copy.txt");
    let (code, said) = call(&Args { force: true, log: Some(copy.clone()), ..args(&site) });
    assert_eq!((code, said.len()), (0, 1));
    assert_eq!(fs::read_to_string(copy).unwrap(), format!("{}\n", said[0]));

    let (code, said) = call(&Args { configs: vec!["x.conf".into()], ..args(&site) });
    assert!(code == 1 && said[0].contains("not supported by this version"), "{said:?}");

    let (code, _) = call(&Args { log_dir: site.dir.path().join("none"), ..args(&site) });
    assert_eq!(code, 0);

    let lock = File::open(format!("{}.lock", site.state().display())).unwrap();
    lock.lock().unwrap();
    assert!(run(&site.options("2026-03-29T00:00:00Z"), &mut |_| {}).unwrap_err().is::<Locked>());
    assert_eq!(call(&args(&site)).0, 3);
    assert_eq!(call(&Args { lock: Lock::Skip, ..args(&site) }).0, 0);
    assert_eq!(call(&Args { dry_run: true, ..args(&site) }).0, 0);
}
