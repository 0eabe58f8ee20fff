//! Leaving no process behind: for a program that does nothing but a look.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// More time than this no kernel takes for ending processes.
const LIMIT: Duration = Duration::from_secs(5);

/// Makes this process the heir of every process that it starts, and takes it off any terminal:
/// nothing can wait for an answer there.
pub fn inherit_all() {
    // Fails where this process leads a group already, which has no terminal then either.
    let _ = rustix::process::setsid();
    // The number only has to be there: it switches this on.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Ends every process below this one, whatever group or session it has made for itself.
pub fn end_all() {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        for process in descendants() {
            // It may be gone already.
            let _ = kill_process(process, Signal::KILL);
        }
        let reaped = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        match reaped {
            Ok(Some(_)) => {}
            Ok(None) => thread::sleep(Duration::from_millis(1)),
            // There is no child any more.
            Err(_) => return,
        }
    }
}

fn descendants() -> Vec<Pid> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name, in brackets, may hold anything.
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((process, parent))
        })
        .collect();
    let mut below = vec![rustix::process::getpid().as_raw_nonzero().get()];
    let mut next = 0;
    while let Some(parent) = below.get(next).copied() {
        below.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(process, _)| *process));
        next += 1;
    }
    below.into_iter().skip(1).filter_map(Pid::from_raw).collect()
}
