//! One shell that evaluates shell files and tells its variables after each of them.

use std::ffi::OsStr;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::conf_dir::absolute;
use super::shell_dump::{Dump, Variables};

const SCRIPT: &str = include_str!("probe.sh");

/// More of what one step says on standard error is dropped.
const STDERR_LIMIT: usize = 16 * 1024;

/// No answer is larger; a shell that says more is not listened to.
const ANSWER_LIMIT: usize = 64 << 20;

/// Memory of the shell and of each program that it starts, in KiB. Less than a probe's container has.
const MEMORY_KIB: u32 = 400 * 1024;

/// How often it is looked whether the shell is still there.
const LOOK: Duration = Duration::from_millis(100);

/// How long a shell may take for what it has been asked to do at its end.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the kernel lets a program have as one string of its environment is 128 KiB.
pub const LARGE: usize = 100 * 1024;

/// All of a program's arguments and environment may be 2 MiB; this leaves room for arguments.
const LARGE_TOGETHER: usize = 1024 * 1024;

/// The running shell. Dropping it kills its whole process group.
pub struct Shell {
    child: Child,
    script: Option<PipeWriter>,
    events: Receiver<Event>,
    /// They keep the paths under which the shell opens its pipes.
    _pipes: [PipeWriter; 3],
}

enum Event {
    Answer([Vec<u8>; 3]),
    /// Some of what it says on standard error.
    Said(Vec<u8>),
    /// A file that is read.
    Told(Vec<u8>),
    /// All that it had to say before an answer was said.
    SaidAll,
    TooMuch,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// To its last line, with this status.
    Complete(i32),
    /// The shell ended with it.
    Exited(i32),
    /// A signal ended the shell.
    Killed(i32),
    /// It was still going on at the deadline.
    TimedOut,
    /// The shell reads on, and does nothing of it.
    Deaf,
    /// Its variables are more than anybody could use.
    TooMuch,
}

/// What came of a step.
#[derive(Debug)]
pub struct Step {
    /// How it ended.
    pub end: End,
    /// The variables after it, where the shell could still tell.
    pub dump: Option<Dump>,
    /// The variables that a subshell of it told.
    pub peeked: Option<Dump>,
    /// What it said on standard error.
    pub said: String,
    /// The options at its end, as in `$-`.
    pub options: String,
    /// The files that it read, in order, where the shell tells.
    pub sourced: Vec<SourcedAt>,
}

/// A file that was read by another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcedAt {
    /// The file.
    pub file: PathBuf,
    /// The file that asked for it.
    pub by: PathBuf,
    /// The line in that, from 1.
    pub line: usize,
}

/// What a shell is started with.
pub struct Start<'a> {
    /// The program.
    pub program: &'a Path,
    /// The folder that every step begins in.
    pub dir: &'a Path,
    /// Exactly these variables.
    pub variables: &'a Variables,
    /// Whether each variable that is set becomes one of the environment (`set -a`).
    pub export_all: bool,
}

impl Shell {
    /// Starts a shell, and waits for its first word: the variables that it begins with.
    ///
    /// # Errors
    /// When the program cannot be started or does not answer.
    pub fn start(start: &Start<'_>, deadline: Instant) -> std::io::Result<(Self, Dump)> {
        let (code, script) = pipe()?;
        let [(out, to_out), (err, to_err), (told, to_told)] = [pipe()?, pipe()?, pipe()?];
        let large = too_large(start.variables);
        let mut command = Command::new(start.program);
        command.arg0("sh").arg(path_of(&code)).current_dir(start.dir).env_clear().process_group(0);
        for (name, value) in start.variables.iter().filter(|(name, _)| !large.contains(name)) {
            command.env(name, OsStr::from_bytes(value));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        let (events, received) = channel();
        let (said, files) = (events.clone(), events.clone());
        thread::spawn(move || read_answers(out, &events));
        thread::spawn(move || read_errors(err, &said));
        thread::spawn(move || read_each(told, STDERR_LIMIT, |text| files.send(Event::Told(text)).is_ok()));
        let mut header = Vec::new();
        for name in &large {
            header.extend([name.as_bytes(), b"=", &word(&start.variables[*name]), b"\n"].concat());
        }
        let all = if start.export_all { "-a" } else { "+a" };
        let script_text = SCRIPT
            .replace("@OUT@", &path_of(&to_out))
            .replace("@ERR@", &path_of(&to_err))
            .replace("@TOLD@", &path_of(&to_told))
            .replace("@MEMORY@", &MEMORY_KIB.to_string())
            .replace("@ALL@", all);
        let dir = word(start.dir.as_os_str().as_bytes());
        let mut parts = script_text.split("@DIR@").map(str::as_bytes);
        header.extend(parts.next().unwrap_or_default());
        for part in parts {
            header.extend(&dir);
            header.extend(part);
        }
        let mut shell = Self { child, script: Some(script), events: received, _pipes: [to_out, to_err, to_told] };
        // By a pipe of its own: what comes as the script itself, bash reads byte by byte.
        let (beginning, mut to_beginning) = pipe()?;
        // Fails where the shell is gone, which is seen below.
        thread::spawn(move || to_beginning.write_all(&header));
        let first = shell.step(format!("\\. {}\n__tender_after 0 -\n", path_of(&beginning)).as_bytes(), deadline);
        // The other ends stay open here until the shell has opened them, which it has when it answers.
        drop((code, beginning));
        match (first.end, first.dump) {
            (End::Complete(_), Some(dump)) => Ok((shell, dump)),
            _ => Err(std::io::Error::other("it does not answer")),
        }
    }

    /// Runs code and waits for the variables after it.
    pub fn run(&mut self, code: &[u8], deadline: Instant) -> Step {
        self.step(&[b"__tender_ready\n", code, b"\n__tender_after \"$?\" \"$-\"\n"].concat(), deadline)
    }

    fn step(&mut self, text: &[u8], deadline: Instant) -> Step {
        let mut step = Step {
            end: End::Exited(0),
            dump: None,
            peeked: None,
            said: String::new(),
            options: String::new(),
            sourced: Vec::new(),
        };
        if !self.write(text) {
            step.end = self.death().unwrap_or(End::Exited(0));
            return step;
        }
        let begun = Instant::now();
        // Each answer has its mark on the two other pipes.
        let (mut answers, mut heard, mut told) = (0_usize, 0_usize, 0_usize);
        let (mut ended, mut death, mut nudged, mut unanswered) = (false, None, false, 0);
        while !ended || heard < answers || told < answers {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left.clamp(Duration::from_millis(1), LOOK)) {
                Ok(Event::Answer([set, export, how])) => {
                    answers += 1;
                    let how = String::from_utf8_lossy(&how).into_owned();
                    let mut words = how.split(' ');
                    let event = words.next().unwrap_or_default();
                    let status = words.next().and_then(|s| s.parse().ok()).unwrap_or(0);
                    let dump = Dump::new(&set, &export);
                    if event == "peek" {
                        step.peeked = Some(dump);
                        continue;
                    }
                    step.end = if event == "ok" { End::Complete(status) } else { End::Exited(status) };
                    (step.dump, ended) = (Some(dump), true);
                    step.options = words.next().unwrap_or_default().to_owned();
                }
                Ok(Event::Said(text)) => {
                    let text = String::from_utf8_lossy(&text);
                    step.said.extend(text.chars().take(STDERR_LIMIT.saturating_sub(step.said.len())));
                }
                Ok(Event::SaidAll) => heard += 1,
                Ok(Event::Told(text)) if text.is_empty() => told += 1,
                Ok(Event::Told(text)) => step.sourced.extend(sourced_at(&text)),
                Ok(Event::TooMuch) => return Step { end: End::TooMuch, ..step },
                Err(_) if ended => return step,
                // One more round takes what it said before it went.
                Err(_) if death.is_some() => return Step { end: death.unwrap_or(End::Exited(0)), ..step },
                Err(RecvTimeoutError::Disconnected) => return step,
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Step { end: End::TimedOut, ..step },
                Err(RecvTimeoutError::Timeout) => {
                    death = self.death();
                    let read = self.script.as_ref().is_some_and(|s| rustix::io::ioctl_fionread(s) == Ok(0));
                    // Who is at work on a line does not take the next one; who takes it and gives no
                    // answer is not at work (`set -n`).
                    unanswered = if nudged && read { unanswered + 1 } else { 0 };
                    if unanswered > 5 && death.is_none() {
                        return Step { end: End::Deaf, ..step };
                    }
                    if !nudged && read && begun.elapsed() > LOOK * 5 {
                        nudged = self.write(b"\n");
                    }
                }
            }
        }
        step
    }

    fn write(&mut self, text: &[u8]) -> bool {
        self.script.as_mut().is_some_and(|script| script.write_all(text).is_ok())
    }

    /// How the shell has ended, if it has. It stays a zombie, so that its number is nobody else's.
    fn death(&self) -> Option<End> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.child)), options).ok()??;
        Some(match status.terminating_signal() {
            Some(signal) => End::Killed(signal),
            None => End::Exited(status.exit_status().unwrap_or(0)),
        })
    }

    /// Lets the shell come to its end, with what it was asked to do then (`trap … EXIT`).
    pub fn finish(mut self) {
        self.script = None;
        let begun = Instant::now();
        while self.death().is_none() && begun.elapsed() < FAREWELL {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Before `wait`, as long as the group's number cannot belong to anybody else.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names of values that no program's environment can hold.
pub fn too_large(variables: &Variables) -> Vec<&String> {
    let mut together = 0;
    let mut large = Vec::new();
    for (name, value) in variables {
        let size = name.len() + value.len() + 16;
        if value.len() > LARGE || together + size > LARGE_TOGETHER {
            large.push(name);
        } else {
            together += size;
        }
    }
    large
}

/// The path under which another process opens a pipe of this one. What the shell starts does not
/// inherit it then, and cannot hold it open.
fn path_of(pipe: &impl AsRawFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), pipe.as_raw_fd())
}

fn sourced_at(text: &[u8]) -> Option<SourcedAt> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.lines();
    let (file, dir, by, line) = (lines.next()?, Path::new(lines.next()?), lines.next()?, lines.next()?);
    // What is read by no file is this room's own code, or what that asks for.
    if by.is_empty() || by.starts_with("/proc/") {
        return None;
    }
    let plain = |path: &str| {
        let path = dir.join(path);
        let plain = absolute(dir, &path);
        // A `..` behind a symlink leads elsewhere.
        if plain.canonicalize().ok() == path.canonicalize().ok() { plain } else { path }
    };
    let file = plain(file);
    // Nor is a pipe a file.
    let is_file = !["/proc", "/dev"].iter().any(|dir| file.starts_with(dir));
    is_file.then(|| Some(SourcedAt { file, by: plain(by), line: line.parse().ok()? }))?
}

fn read_answers(out: PipeReader, events: &Sender<Event>) {
    let mut fields: Vec<Vec<u8>> = Vec::new();
    read_each(out, ANSWER_LIMIT, |field| {
        if field.len() == ANSWER_LIMIT {
            return events.send(Event::TooMuch).is_ok();
        }
        fields.push(field);
        match <[Vec<u8>; 3]>::try_from(std::mem::take(&mut fields)) {
            Ok(answer) => events.send(Event::Answer(answer)).is_ok(),
            Err(some) => {
                fields = some;
                true
            }
        }
    });
}

/// Reads standard error as it comes: a shell that dies has no time for a NUL.
fn read_errors(mut err: PipeReader, events: &Sender<Event>) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = err.read(&mut chunk) {
        for part in chunk[..n].split_inclusive(|byte| *byte == 0) {
            let (text, whole) = part.strip_suffix(&[0]).map_or((part, false), |text| (text, true));
            // One that floods is listened to for what it says first.
            let text = text[..text.len().min(STDERR_LIMIT)].to_vec();
            let mut sent = text.is_empty() || events.send(Event::Said(text)).is_ok();
            sent = sent && (!whole || events.send(Event::SaidAll).is_ok());
            if !sent {
                return;
            }
        }
    }
}

/// Reads what is ended by NULs, each cut at a limit.
fn read_each(mut from: impl Read, limit: usize, mut take: impl FnMut(Vec<u8>) -> bool) {
    let (mut chunk, mut field) = (vec![0; 64 * 1024], Vec::new());
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        for part in chunk[..n].split_inclusive(|byte| *byte == 0) {
            let (text, whole) = part.strip_suffix(&[0]).map_or((part, false), |text| (text, true));
            field.extend(&text[..text.len().min(limit.saturating_sub(field.len()))]);
            if whole && !take(std::mem::take(&mut field)) {
                return;
            }
        }
    }
}

/// A path or value as one word of shell code.
pub fn word(value: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for &byte in value {
        match byte {
            b'\'' => out.extend(br"'\''"),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
    out
}
