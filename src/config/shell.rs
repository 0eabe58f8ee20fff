//! One `sh` that evaluates shell files and tells the environment after each of them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::words::is_name;

const SCRIPT: &str = include_str!("probe.sh");
/// More of what one step says on standard error is dropped.
const STDERR_LIMIT: usize = 16 * 1024;

/// How often it is looked whether the shell is still there.
const LOOK: Duration = Duration::from_millis(100);

/// All exported variables; values are bytes, as in the kernel.
pub type Variables = BTreeMap<String, Vec<u8>>;

/// The running shell. Dropping it kills its whole process group.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    events: Receiver<Event>,
}

enum Event {
    Record(Vec<u8>),
    Said(Vec<u8>),
    Gone,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// To its last line, with this status.
    Complete(i32),
    /// The shell ended with it.
    Exited(i32),
    /// The shell is gone without a word.
    Vanished,
    /// It was still going on at the deadline.
    TimedOut,
}

/// What came of a step.
#[derive(Debug)]
pub struct Step {
    /// How it ended.
    pub end: End,
    /// The environment after it, where the shell could still tell.
    pub variables: Option<Variables>,
    /// The environment that a subshell of it told.
    pub peeked: Option<Variables>,
    /// What it said on standard error.
    pub said: String,
}

impl Shell {
    /// Starts a shell in `dir` with exactly these variables.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(program: &Path, dir: &Path, variables: &Variables) -> std::io::Result<Self> {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(program);
        command.arg("-c").arg(SCRIPT).arg("sh").current_dir(dir).env_clear();
        command.envs(variables.iter().map(|(k, v)| (k, std::ffi::OsStr::from_bytes(v))));
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (events, received) = channel();
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(std::io::Error::other("the shell has no pipes"));
        };
        // Both end with the pipe; a process that left the group can keep them waiting, no more.
        let told = events.clone();
        thread::spawn(move || read_records(output, &told));
        thread::spawn(move || read_errors(errors, &events));
        Ok(Self { child, input, events: received })
    }

    /// Runs one line of code and waits for the environment after it.
    pub fn run(&mut self, code: &[u8], deadline: Instant) -> Step {
        let mut step = Step { end: End::Vanished, variables: None, peeked: None, said: String::new() };
        let line = [code, b"\n"].concat();
        if self.input.write_all(&line).and_then(|()| self.input.flush()).is_err() {
            return step;
        }
        let mut pairs = Variables::new();
        // Each frame has its mark on standard error, before or after it.
        let (mut frames, mut heard) = (1_usize, 0_usize);
        let mut gone = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left.min(LOOK)) {
                Ok(Event::Record(record)) => match frame_end(&record) {
                    Some(("peek", _)) => {
                        step.peeked = Some(std::mem::take(&mut pairs));
                        frames += 1;
                    }
                    Some((event, status)) => {
                        step.variables = Some(pairs).filter(|p| !p.is_empty());
                        step.end = if event == "ok" { End::Complete(status) } else { End::Exited(status) };
                        self.listen(&mut step, frames.saturating_sub(heard));
                        return step;
                    }
                    None => add_pair(&mut pairs, &record),
                },
                Ok(Event::Said(text)) => {
                    heard += 1;
                    step.said.push_str(&String::from_utf8_lossy(&text));
                }
                Ok(Event::Gone) | Err(RecvTimeoutError::Disconnected) => return step,
                // What it left running may hold the pipe open, so its end alone tells nothing; one
                // more round takes what it said before it went.
                Err(RecvTimeoutError::Timeout) if gone => return step,
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    step.end = End::TimedOut;
                    return step;
                }
                Err(RecvTimeoutError::Timeout) => gone = self.has_ended(),
            }
        }
    }

    /// Whether the shell has ended. It stays a zombie, so that its number is nobody else's.
    fn has_ended(&self) -> bool {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&self.child)), options).is_ok_and(|status| status.is_some())
    }

    /// Waits for what was said on standard error before the frames ended.
    fn listen(&self, step: &mut Step, marks: usize) {
        let mut left = marks;
        while left > 0 {
            match self.events.recv_timeout(Duration::from_millis(500)) {
                Ok(Event::Said(text)) => {
                    step.said.push_str(&String::from_utf8_lossy(&text));
                    left -= 1;
                }
                // The end of its output may come before that of its errors.
                Ok(Event::Gone) => {}
                Ok(Event::Record(_)) | Err(_) => return,
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Before `wait`, as long as the group's number cannot belong to anybody else.
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_records(output: impl Read, events: &Sender<Event>) {
    let mut reader = BufReader::new(output);
    loop {
        let mut record = Vec::new();
        match reader.read_until(0, &mut record) {
            Ok(n) if n > 0 && record.last() == Some(&0) => {
                record.pop();
                if events.send(Event::Record(record)).is_err() {
                    return;
                }
            }
            _ => {
                let _ = events.send(Event::Gone);
                return;
            }
        }
    }
}

fn read_errors(mut errors: impl Read, events: &Sender<Event>) {
    let (mut chunk, mut said) = ([0; 4096], Vec::new());
    while let Ok(n @ 1..) = errors.read(&mut chunk) {
        for &byte in &chunk[..n] {
            if byte == 0 {
                if events.send(Event::Said(std::mem::take(&mut said))).is_err() {
                    return;
                }
            } else if said.len() < STDERR_LIMIT {
                said.push(byte);
            }
        }
    }
}

/// The event and status of the record that ends a frame.
fn frame_end(record: &[u8]) -> Option<(&'static str, i32)> {
    let text = std::str::from_utf8(record).ok()?.strip_prefix('=')?;
    let (event, status) = text.split_once(' ')?;
    let event = ["ok", "exit", "peek"].into_iter().find(|e| *e == event)?;
    Some((event, status.parse().ok()?))
}

fn add_pair(pairs: &mut Variables, record: &[u8]) {
    let Some(at) = record.iter().position(|b| *b == b'=') else { return };
    let Ok(name) = std::str::from_utf8(&record[..at]) else { return };
    // What a shell keeps for itself is nobody's setting.
    if is_name(name) && !name.starts_with("__tender_") && !["_", "OLDPWD", "PWD", "SHLVL"].contains(&name) {
        pairs.insert(name.to_owned(), record[at + 1..].to_owned());
    }
}

/// The variables of a whole dump, as they are taken from a shell.
#[cfg(any(test, fuzzing))]
pub fn dumped(bytes: &[u8]) -> Variables {
    let (events, received) = channel();
    read_records(bytes, &events);
    let mut pairs = Variables::new();
    for event in received.try_iter() {
        if let Event::Record(record) = event
            && frame_end(&record).is_none()
        {
            add_pair(&mut pairs, &record);
        }
    }
    pairs
}

/// A path or value as one word of shell code on one line.
pub fn word(value: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for &byte in value {
        match byte {
            b'\'' => out.extend(br"'\''"),
            b'\n' => out.extend(br#"'"$__tender_nl"'"#),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shells() -> Vec<Vec<&'static str>> {
        ["dash", "bash", "sh"]
            .into_iter()
            .map(|s| vec![s])
            .filter(|s| Command::new(s[0]).args(["-c", ":"]).output().is_ok())
            .collect()
    }

    fn path() -> Variables {
        [("PATH".to_owned(), std::env::var("PATH").unwrap().into_bytes())].into()
    }

    #[test]
    fn tells_the_environment_after_each_line() {
        for shell in shells() {
            let dir = tempfile::tempdir().unwrap();
            let mut sh = Shell::start(Path::new(shell[0]), dir.path(), &path()).unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            let code = [b"A=".to_vec(), word(b"x'\n\xff\\n $B"), b"; echo said >&2; set -eu; cd /".to_vec()].concat();
            let step = sh.run(&code, deadline);
            assert_eq!(step.end, End::Complete(0), "{shell:?} {step:?}");
            assert_eq!(step.variables.unwrap()["A"], b"x'\n\xff\\n $B");
            assert_eq!(step.said, "said\n");
            // A background process of the first line holds nothing up.
            let step = sh.run(b"sleep 60 & B=$PWD; false", deadline);
            assert_eq!(step.end, End::Complete(1));
            let here = dir.path().canonicalize().unwrap();
            assert_eq!(step.variables.unwrap()["B"], here.to_str().unwrap().as_bytes());
            let step = sh.run(b"(C=1; __tender_dump peek 0; exit 3)", deadline);
            assert_eq!(step.peeked.unwrap()["C"], b"1");
            assert!(!step.variables.unwrap().contains_key("C"));
            let step = sh.run(b"D=1; exit 7", deadline);
            assert_eq!((step.end, step.variables.unwrap()["D"].as_slice()), (End::Exited(7), b"1".as_slice()));
            assert_eq!(sh.run(b":", deadline).end, End::Vanished);
        }
    }

    #[test]
    fn a_program_in_its_place_and_an_endless_one() {
        let start = || Shell::start(Path::new("/bin/sh"), Path::new("/"), &path()).unwrap();
        let step = start().run(b"exec true", Instant::now() + Duration::from_secs(20));
        assert_eq!((step.end, step.variables), (End::Vanished, None));
        let mut sh = start();
        assert_eq!(sh.run(b"while :; do :; done", Instant::now() + Duration::from_millis(200)).end, End::TimedOut);
    }
}
