//! What `/proc` says of all processes of a PID namespace.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::runner::signal::{MARKER, WISH};

/// Ticks of the kernel's clock in a second, as it shows them to programs: the same everywhere.
const TICKS: u64 = 100;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) session: i32,
    /// It has a terminal.
    pub(super) terminal: bool,
    /// Since the start of the kernel, to a hundredth of a second.
    pub(super) start: Duration,
    /// It has ended, and its parent does not care.
    pub(super) dead: bool,
    /// The run that it is marked with.
    pub(super) mark: Option<String>,
    /// It sends signals itself.
    pub(super) sender: bool,
    /// Pipes that are its standard streams.
    pub(super) pipes: Vec<String>,
}

impl Process {
    /// Numbers are used again; together with the start they are not.
    pub(super) const fn key(&self) -> (i32, Duration) {
        (self.pid, self.start)
    }
}

/// All processes but this one. Those that end meanwhile are left out.
pub(super) fn all(proc: &Path) -> Result<Vec<Process>> {
    let entries = fs::read_dir(proc).with_context(|| format!("failed to read {}", proc.display()))?;
    let own = i32::try_from(std::process::id()).ok();
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    Ok(pids.filter(|pid| Some(*pid) != own).filter_map(|pid| read(proc, pid)).collect())
}

fn read(proc: &Path, pid: i32) -> Option<Process> {
    let folder = proc.join(pid.to_string());
    let mut process = parse(pid, &fs::read_to_string(folder.join("stat")).ok()?)?;
    // Empty for one that has ended, or is of the kernel.
    let environment = fs::read(folder.join("environ")).unwrap_or_default();
    for pair in environment.split(|byte| *byte == 0) {
        let Some((name, value)) = std::str::from_utf8(pair).ok().and_then(|pair| pair.split_once('=')) else {
            continue;
        };
        if name == MARKER {
            process.mark = Some(value.to_owned());
        }
        process.sender |= name == WISH;
    }
    let stream = |n: u8| fs::read_link(folder.join("fd").join(n.to_string())).ok()?.to_str().map(str::to_owned);
    process.pipes = (0..3).filter_map(stream).filter(|link| link.starts_with("pipe:")).collect();
    Some(process)
}

/// A line of `stat`. The name in brackets may hold anything.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i64>().ok();
    let ticks = u64::try_from(number(19)?).ok()?;
    Some(Process {
        pid,
        parent: i32::try_from(number(1)?).ok()?,
        session: i32::try_from(number(3)?).ok()?,
        terminal: number(4)? != 0,
        start: Duration::from_millis(ticks * (1000 / TICKS)),
        dead: matches!(fields.first(), Some(&("Z" | "X"))),
        mark: None,
        sender: false,
        pipes: Vec::new(),
    })
}

/// Whether a process has the files that the engine gives to the container of this id alone.
pub(super) fn is_inside(proc: &Path, pid: i32, container: &str) -> bool {
    let mounts = fs::read_to_string(proc.join(pid.to_string()).join("mountinfo")).unwrap_or_default();
    let own = format!("/containers/{container}/");
    mounts.lines().any(|line| line.split(' ').nth(3).is_some_and(|root| root.contains(&own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_anything() {
        let stat = "12 (a) S 9 (b) R 3 4 5 34816 0 4194560 900 0 4 0 1 0 0 0 20 0 1 0 226741 2744320 389";
        let process = parse(12, stat).unwrap();
        assert_eq!((process.parent, process.session, process.terminal, process.dead), (3, 5, true, false));
        assert_eq!(process.start, Duration::from_millis(2_267_410));
        assert!(parse(1, "1 (x) Z 0 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 5").unwrap().dead);
        assert_eq!(parse(1, "1 (x) S 0"), None);
    }

    #[test]
    fn this_kernel_is_understood() {
        let mut child = std::process::Command::new("sleep").arg("1000").env(MARKER, "some run").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // Until it has become that program it has the environment of this one.
        let found = loop {
            let found = read(Path::new("/proc"), pid).unwrap();
            if found.mark.as_deref() == Some("some run") {
                break found;
            }
        };
        assert_eq!(found.parent, i32::try_from(std::process::id()).unwrap());
        assert!(!found.dead && !found.sender);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
