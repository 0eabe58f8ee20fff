//! Processes of this PID namespace, found by a mark in their environment.

use std::path::Path;

use rustix::process::{Pid, kill_process};

pub(super) use rustix::process::Signal;

/// Sends a signal to all processes whose environment holds `mark` (`NAME=value`), this one left
/// out; children inherit the mark. Gives how many there were.
pub(super) fn send(proc: &Path, mark: &str, signal: Signal) -> usize {
    let own = i32::try_from(std::process::id()).ok();
    let found: Vec<i32> = marked(proc, mark).into_iter().filter(|pid| Some(*pid) != own).collect();
    for pid in found.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        if let Err(error) = kill_process(pid, signal) {
            tracing::warn!("failed to signal process {}: {error}", pid.as_raw_nonzero());
        }
    }
    found.len()
}

fn marked(proc: &Path, mark: &str) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(proc) else { return Vec::new() };
    let mut found: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // One that went away meanwhile, or may not be read, is not ours.
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            environment.split(|b| *b == 0).any(|pair| pair == mark.as_bytes()).then_some(pid)
        })
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn only_marked_processes_are_signalled() {
        let run = |mark: &str| Command::new("sleep").arg("1000").env("TENDER_RUN", mark).spawn().unwrap();
        let mark = format!("test-{}", std::process::id());
        let (mut ours, mut other) = (run(&mark), run(&format!("{mark}0")));
        assert_eq!(send(Path::new("/proc"), &format!("TENDER_RUN={mark}"), Signal::TERM), 1);
        assert_eq!(ours.wait().unwrap().signal(), Some(15));
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        assert_eq!(other.wait().unwrap().signal(), Some(9));
    }
}
