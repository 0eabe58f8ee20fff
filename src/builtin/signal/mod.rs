//! The program of a signal container: it sees the processes of another container and signals some.

mod proc;
mod tree;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use self::proc::Process;
use self::tree::Tree;
use crate::runner::signal::{Began, Wish};

/// Between two looks at what is left.
const POLL: Duration = Duration::from_millis(50);

/// How long the end of killed processes is waited for: one that waits for a disk takes its time.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// Rounds in which new processes are stopped, at most: a fork bomb has no last one.
const ROUNDS: u32 = 1000;

/// Does what it is told and gives the exit code: 0 when it is done, 1 when something is left.
///
/// # Errors
/// When the wish cannot be understood, or the processes cannot be seen.
pub fn main(wish: &str) -> Result<u8> {
    let proc = Path::new("/proc");
    match serde_json::from_str(wish).context("TENDER_SIGNAL is damaged")? {
        Wish::End { run, began, grace } => end(proc, &Tree::new(&run, since(began)), grace),
        Wish::Main { container, signal } => main_process(proc, &container, &signal),
    }
}

/// The instant in the time of this kernel, if it is of this start of it.
fn since(began: Option<Began>) -> Option<Duration> {
    let now = Began::now()?;
    began.filter(|began| began.boot == now.boot).map(|began| began.at)
}

/// TERM, the grace, KILL.
fn end(proc: &Path, tree: &Tree, grace: Duration) -> Result<u8> {
    let mut tree = tree.clone();
    let found = freeze(proc, &mut tree)?;
    if found.is_empty() {
        say("no process of the command is left");
        return Ok(0);
    }
    // All are told before the first one goes on: what is told may end, and leave orphans.
    found.iter().for_each(|process| signal(process, Signal::TERM));
    found.iter().for_each(|process| signal(process, Signal::CONT));
    if wait(proc, &mut tree, grace)? {
        say(&format!("{} processes ended after TERM", found.len()));
        return Ok(0);
    }
    let mut left = freeze(proc, &mut tree)?;
    let killed = left.len();
    let deadline = Instant::now() + AFTER_KILL;
    loop {
        left.iter().for_each(|process| signal(process, Signal::KILL));
        if wait(proc, &mut tree, POLL)? {
            say(&format!(
                "{} processes were told to end, {killed} did not within {grace:?} and were killed",
                found.len()
            ));
            return Ok(0);
        }
        left = tree.grow(&proc::all(proc)?);
        if Instant::now() > deadline {
            let pids: Vec<String> = left.iter().map(|process| process.pid.to_string()).collect();
            say(&format!("killed {killed} processes, which are still there: {}", pids.join(", ")));
            return Ok(1);
        }
    }
}

/// Stops all processes of the tree, so that none of them can fork any more, and gives them.
fn freeze(proc: &Path, tree: &mut Tree) -> Result<Vec<Process>> {
    let mut stopped = Vec::new();
    for _ in 0..ROUNDS {
        let found = tree.grow(&proc::all(proc)?);
        let new: Vec<&Process> = found.iter().filter(|process| !stopped.contains(&process.key())).collect();
        if new.is_empty() {
            return Ok(found);
        }
        for process in new {
            signal(process, Signal::STOP);
            stopped.push(process.key());
        }
    }
    Ok(tree.grow(&proc::all(proc)?))
}

/// Waits until none is left; those that come into being meanwhile belong to it.
fn wait(proc: &Path, tree: &mut Tree, time: Duration) -> Result<bool> {
    let deadline = Instant::now() + time;
    loop {
        if tree.grow(&proc::all(proc)?).is_empty() {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(left.min(POLL));
    }
}

/// The main process is the oldest of those that have the container's own files.
fn main_process(proc: &Path, container: &str, name: &str) -> Result<u8> {
    let Some(sent) = by_name(name) else { bail!("{name:?} is no signal that can be sent") };
    let own = |process: &Process| proc::is_inside(proc, process.pid, container);
    let oldest = proc::all(proc)?.into_iter().filter(own).min_by_key(|process| (process.start, process.pid));
    let Some(main) = oldest else { bail!("no process of container {container} is here") };
    let pid = Pid::from_raw(main.pid).context("a process without a number")?;
    kill_process(pid, sent).with_context(|| format!("failed to send {name} to process {}", main.pid))?;
    Ok(0)
}

fn signal(process: &Process, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else { return };
    match kill_process(pid, signal) {
        // It has ended in between.
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => say(&format!("process {} cannot be signalled: {error}", process.pid)),
    }
}

/// Signals that services are told with.
fn by_name(name: &str) -> Option<Signal> {
    Some(match name.strip_prefix("SIG").unwrap_or(name) {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "TERM" => Signal::TERM,
        "CONT" => Signal::CONT,
        "WINCH" => Signal::WINCH,
        _ => return None,
    })
}

fn say(text: &str) {
    // Nobody may listen any more; the work is what counts.
    let _ = std::io::stderr().write_all(format!("tender: {text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunId;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    /// A shell with children of the usual kinds of runaways; it says when all are there.
    fn runaways(mark: &str, script: &str) -> Child {
        // As the engine starts the command of an exec: in a session of its own.
        let mut child = Command::new("setsid")
            .args(["sh", "-c", script])
            .env("TENDER_RUN", mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        assert_eq!(&said, b"ready\n");
        child
    }

    fn mark(name: &str) -> RunId {
        RunId(format!("test-{name}-{}", std::process::id()))
    }

    fn of_the_mark(mark: &RunId) -> usize {
        Tree::new(mark, None).grow(&proc::all(Path::new("/proc")).unwrap()).len()
    }

    #[test]
    fn a_tree_ends_and_the_neighbours_go_on() {
        let (ours, theirs) = (mark("ours"), mark("theirs"));
        let neighbour = Command::new("sleep").arg("1000").env("TENDER_RUN", theirs.as_str()).spawn();
        let mut neighbour = neighbour.unwrap();
        let mut child = runaways(
            ours.as_str(),
            "sleep 1001 & setsid sleep 1002 & nohup sleep 1003 >/dev/null 2>&1 & env -i sleep 1004 & \
             (setsid sleep 1005 &) ; trap '' TERM; echo ready; sleep 1006; sleep 1007",
        );
        assert!(of_the_mark(&ours) >= 6);
        let tree = Tree::new(&ours, Began::now().map(|began| began.at.saturating_sub(Duration::from_secs(60))));
        assert_eq!(end(Path::new("/proc"), &tree, Duration::from_millis(300)).unwrap(), 0);
        assert_eq!(child.wait().unwrap().signal(), Some(9), "it takes no notice of TERM");
        assert_eq!(of_the_mark(&ours), 0);
        assert!(neighbour.try_wait().unwrap().is_none());
        neighbour.kill().unwrap();
        neighbour.wait().unwrap();
    }

    #[test]
    fn who_obeys_has_time_to_clean_up() {
        let run = mark("cleanup");
        let mut child =
            runaways(run.as_str(), "trap 'sleep 0.2; echo done; exit 9' TERM; echo ready; sleep 1000 & wait");
        assert_eq!(end(Path::new("/proc"), &Tree::new(&run, None), Duration::from_secs(60)).unwrap(), 0);
        assert_eq!(child.wait().unwrap().code(), Some(9));
    }
}
