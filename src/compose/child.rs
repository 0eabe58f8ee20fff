//! Running the program: its output as it comes, its last words when it fails.

use std::collections::VecDeque;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// How many lines of its errors are kept for the message of a failure.
const LAST_WORDS: usize = 12;

/// A line without an end is handed on in pieces of this size.
const LINE: usize = 64 * 1024;

/// A child with a process group of its own, killed with all its children when it is given up.
struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    fn spawn(mut command: Command) -> Result<Self> {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("failed to run {name}"))?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, leader })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only while the leader has not been waited for: later its number may be another's.
        if let (Some(leader), Some(_)) = (self.leader, self.child.id()) {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Runs it and gives what it wrote to standard output.
pub(super) async fn output(command: Command) -> Result<String> {
    let mut group = Group::spawn(command)?;
    let (mut out, mut err) = (Vec::new(), LastWords::default());
    let mut lines = Lines::default();
    let (read_out, read_err) =
        tokio::join!(async { read(group.child.stdout.take(), |bytes| out.extend_from_slice(bytes)).await }, async {
            read(group.child.stderr.take(), |bytes| lines.push(bytes, &mut |line| err.push(line))).await
        },);
    lines.end(&mut |line| err.push(line));
    read_out.and(read_err).context("failed to read its output")?;
    finish(group, err).await?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Runs it and hands on each line of both streams as it comes.
pub(super) async fn lines(command: Command, sink: &mut dyn FnMut(&str)) -> Result<()> {
    let mut group = Group::spawn(command)?;
    let (mut out, mut err) = (group.child.stdout.take(), group.child.stderr.take());
    let (mut out_lines, mut err_lines) = (Lines::default(), Lines::default());
    let (mut out_bytes, mut err_bytes) = (vec![0; 8192], vec![0; 8192]);
    let mut last = LastWords::default();
    while out.is_some() || err.is_some() {
        tokio::select! {
            got = some(&mut out, &mut out_bytes) => match got.context("failed to read its output")? {
                0 => { out_lines.end(sink); out = None; }
                n => out_lines.push(&out_bytes[..n], sink),
            },
            got = some(&mut err, &mut err_bytes) => {
                let mut both = |line: &str| { last.push(line); sink(line) };
                match got.context("failed to read its output")? {
                    0 => { err_lines.end(&mut both); err = None; }
                    n => err_lines.push(&err_bytes[..n], &mut both),
                }
            },
        }
    }
    finish(group, last).await
}

async fn finish(mut group: Group, last: LastWords) -> Result<()> {
    let status = group.child.wait().await.context("failed to wait for it")?;
    if status.success() {
        return Ok(());
    }
    let words = last.0.into_iter().collect::<Vec<_>>().join("\n");
    if words.is_empty() { bail!("{status}") } else { bail!("{words} ({status})") }
}

/// Reads once; never ends when the stream is over.
async fn some(from: &mut Option<impl AsyncRead + Unpin>, bytes: &mut [u8]) -> std::io::Result<usize> {
    match from {
        Some(from) => from.read(bytes).await,
        None => std::future::pending().await,
    }
}

async fn read(from: Option<impl AsyncRead + Unpin>, mut to: impl FnMut(&[u8])) -> std::io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut bytes = vec![0; 8192];
    loop {
        match from.read(&mut bytes).await? {
            0 => return Ok(()),
            n => to(&bytes[..n]),
        }
    }
}

#[derive(Default)]
struct LastWords(VecDeque<String>);

impl LastWords {
    fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == LAST_WORDS {
            self.0.pop_front();
        }
        self.0.push_back(line.trim_end().to_owned());
    }
}

/// Cuts a stream of bytes into lines; what is no UTF-8 is replaced.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&str)) {
        self.0.extend_from_slice(bytes);
        while let Some(end) = self.0.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            sink(String::from_utf8_lossy(&line[..end]).trim_end_matches('\r'));
        }
        if self.0.len() > LINE {
            self.end(sink);
        }
    }

    fn end(&mut self, sink: &mut dyn FnMut(&str)) {
        if !self.0.is_empty() {
            sink(&String::from_utf8_lossy(&std::mem::take(&mut self.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn lines_come_whole_from_both_streams() {
        let mut got = Vec::new();
        lines(sh("printf 'a\\r\\nb'; printf '\\377\\n' >&2"), &mut |line| got.push(line.to_owned())).await.unwrap();
        got.sort();
        assert_eq!(got, ["a", "b", "\u{fffd}"]);
    }

    #[tokio::test]
    async fn the_last_words_are_kept_and_not_more() {
        let error = output(sh("for i in $(seq 100); do echo err $i >&2; done; exit 3")).await.unwrap_err().to_string();
        assert!(error.starts_with("err 89\n") && error.contains("err 100 (exit status: 3)"), "{error}");
        assert_eq!(output(sh("exit 1")).await.unwrap_err().to_string(), "exit status: 1");
        assert_eq!(output(sh("echo much >&2; echo good")).await.unwrap(), "good\n");
    }

    #[tokio::test]
    async fn giving_up_kills_the_children_too() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let mut sink = |_: &str| {};
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        {
            let running = lines(sh(&script), &mut sink);
            let there = async {
                while !file.exists() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! { done = running => panic!("{done:?}"), () = there => {} }
        }
        let pid = std::fs::read_to_string(&file).unwrap().trim().to_owned();
        let gone = async {
            // A zombie until init takes note of it, but it runs no more.
            let running = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "));
            while running() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("its child is still running");
    }
}
