//! Which processes belong to a command that was executed in a container. Pure.
//!
//! A process may give up everything that it has from its parent: the mark by clearing its
//! environment, its session by `setsid`, its output by a redirection, and its parent by outliving
//! it. One that has kept any of them is found, and so are all its children from then on.

use std::collections::BTreeSet;
use std::time::Duration;

use super::proc::Process;
use crate::run::RunId;

/// How long after it was asked for the engine may take to start a command.
const LATENESS: Duration = Duration::from_secs(10);

/// The kernel rounds starts to a hundredth of a second.
const ROUNDING: Duration = Duration::from_millis(20);

/// All that is known of a command's processes.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    mark: String,
    /// When it was about to be started: what is older does not belong to it.
    began: Option<Duration>,
    known: BTreeSet<(i32, Duration)>,
    sessions: BTreeSet<i32>,
    pipes: BTreeSet<String>,
    /// The first look is over.
    begun: bool,
}

impl Tree {
    pub(super) fn new(run: &RunId, began: Option<Duration>) -> Self {
        Self {
            mark: run.to_string(),
            began: began.map(|began| began.saturating_sub(ROUNDING)),
            known: BTreeSet::new(),
            sessions: BTreeSet::new(),
            pipes: BTreeSet::new(),
            begun: false,
        }
    }

    /// Takes in what belongs to it among all processes and gives those of it that live.
    pub(super) fn grow(&mut self, all: &[Process]) -> Vec<Process> {
        let (strange, candidates): (Vec<&Process>, Vec<&Process>) =
            all.iter().partition(|process| !self.may_belong(process));
        let marked = candidates.iter().filter(|process| process.mark.as_deref() == Some(&self.mark));
        for process in marked.collect::<Vec<_>>() {
            self.take(process, &strange);
        }
        if !self.begun {
            self.begun = true;
            self.take_unmarked_first(&candidates, &strange);
        }
        loop {
            let new: Vec<&&Process> = candidates
                .iter()
                .filter(|process| !self.known.contains(&process.key()) && self.is_kin(process, all))
                .collect();
            if new.is_empty() {
                break;
            }
            new.into_iter().for_each(|process| self.take(process, &strange));
        }
        let live = candidates.into_iter().filter(|process| self.known.contains(&process.key()) && !process.dead);
        live.cloned().collect()
    }

    fn may_belong(&self, process: &Process) -> bool {
        let marked_otherwise = process.mark.as_deref().is_some_and(|mark| mark != self.mark) || process.sender;
        process.pid != 1 && !marked_otherwise && self.began.is_none_or(|began| process.start >= began)
    }

    fn take(&mut self, process: &Process, strange: &[&Process]) {
        self.known.insert(process.key());
        // Never that of the service, or of whoever else shares it.
        if process.session > 1 && strange.iter().all(|other| other.session != process.session) {
            self.sessions.insert(process.session);
        }
        if self.began.is_some() {
            // A command may write to the service's own output (`> /proc/1/fd/1`).
            let own = process.pipes.iter().filter(|pipe| strange.iter().all(|other| !other.pipes.contains(pipe)));
            self.pipes.extend(own.cloned());
        }
    }

    /// A command that has cleared its environment and put itself in the place of its first process
    /// has no mark. Only what is executed from outside has no parent; the first such process after
    /// the command was asked for is it. One with a terminal is a person's.
    fn take_unmarked_first(&mut self, candidates: &[&Process], strange: &[&Process]) {
        let is_root = |process: &&&Process| process.parent == 0 && process.session == process.pid;
        if candidates.iter().filter(is_root).any(|process| self.known.contains(&process.key())) {
            return;
        }
        let Some(began) = self.began else { return };
        let in_time = |process: &&&Process| process.start <= began + LATENESS && !process.terminal;
        if let Some(first) = candidates.iter().filter(is_root).filter(in_time).min_by_key(|process| process.start) {
            self.take(first, strange);
        }
    }

    fn is_kin(&self, process: &Process, all: &[Process]) -> bool {
        let of_known = |parent: &Process| parent.pid == process.parent && self.known.contains(&parent.key());
        // A number is not used again while a session has it: a leader that is not known began its own.
        let follows = process.session != process.pid;
        all.iter().any(of_known)
            || follows && self.sessions.contains(&process.session)
            || process.pipes.iter().any(|pipe| self.pipes.contains(pipe))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: u64 = 100;

    fn process(pid: i32, parent: i32, session: i32, start: u64) -> Process {
        Process {
            pid,
            parent,
            session,
            terminal: false,
            start: Duration::from_secs(start),
            dead: false,
            mark: None,
            sender: false,
            pipes: vec![],
        }
    }

    fn marked(process: Process) -> Process {
        Process { mark: Some("run".to_owned()), ..process }
    }

    fn piped(process: Process, pipe: &str) -> Process {
        Process { pipes: vec![pipe.to_owned()], ..process }
    }

    fn tree() -> Tree {
        Tree::new(&RunId("run".to_owned()), Some(Duration::from_secs(BEGAN)))
    }

    fn pids(found: &[Process]) -> Vec<i32> {
        found.iter().map(|process| process.pid).collect()
    }

    /// The service: its first process and a worker, which restarts.
    fn service() -> Vec<Process> {
        vec![
            piped(process(1, 0, 1, 1), "pipe:[1]"),
            piped(process(7, 1, 1, 2), "pipe:[1]"),
            piped(process(30, 1, 1, 130), "pipe:[1]"),
        ]
    }

    fn with(others: &[Process]) -> Vec<Process> {
        [service(), others.to_vec()].concat()
    }

    #[test]
    fn whatever_was_kept_tells() {
        let root = piped(marked(process(20, 0, 20, 100)), "pipe:[2]");
        for (what, child, belongs) in [
            ("the mark", marked(process(21, 1, 21, 101)), true),
            ("the parent", process(21, 20, 21, 101), true),
            ("the session", process(21, 1, 20, 101), true),
            ("the output", piped(process(21, 1, 21, 101), "pipe:[2]"), true),
            ("nothing", process(21, 1, 21, 101), false),
            ("the output of the service", piped(process(21, 1, 21, 101), "pipe:[1]"), false),
            ("another mark", Process { mark: Some("other".to_owned()), ..process(21, 0, 21, 101) }, false),
            ("an older process", marked(process(21, 20, 20, 99)), false),
            ("one that signals", Process { sender: true, ..process(21, 0, 21, 101) }, false),
        ] {
            let found = tree().grow(&with(&[root.clone(), child]));
            assert_eq!(pids(&found), if belongs { vec![20, 21] } else { vec![20] }, "{what}");
        }
    }

    #[test]
    fn a_command_that_writes_to_the_services_output_takes_nobody_along() {
        let root = piped(marked(process(20, 0, 20, 100)), "pipe:[1]");
        assert_eq!(pids(&tree().grow(&with(&[root]))), [20]);
    }

    #[test]
    fn orphans_are_known_from_before() {
        let mut tree = tree();
        let root = marked(process(20, 0, 20, 100));
        assert_eq!(pids(&tree.grow(&with(&[root, process(21, 20, 21, 101)]))), [20, 21]);
        assert_eq!(pids(&tree.grow(&with(&[process(21, 1, 21, 101), process(22, 21, 22, 102)]))), [21, 22]);
        let again = process(21, 1, 21, 140);
        assert_eq!(pids(&tree.grow(&with(&[again]))), [0; 0], "another one of the same number");
    }

    #[test]
    fn the_first_process_is_found_without_its_mark() {
        let root = |pid: i32, start: u64| process(pid, 0, pid, start);
        let ours = root(20, 101);
        for (what, others, expected) in [
            ("alone", vec![ours.clone()], vec![20]),
            ("with children", vec![ours.clone(), process(21, 20, 21, 102)], vec![20, 21]),
            ("a later one", vec![ours.clone(), root(25, 103)], vec![20]),
            ("too late", vec![root(25, 100 + 11)], vec![]),
            ("older", vec![root(15, 50)], vec![]),
            ("of a person", vec![Process { terminal: true, ..root(25, 101) }], vec![]),
            ("of another run", vec![Process { mark: Some("other".to_owned()), ..root(25, 101) }], vec![]),
            ("an orphan", vec![process(25, 1, 25, 101)], vec![]),
            ("beside the marked one", vec![marked(root(22, 102)), ours.clone()], vec![22]),
        ] {
            assert_eq!(pids(&tree().grow(&with(&others))), expected, "{what}");
        }
        let mut later = tree();
        assert_eq!(pids(&later.grow(&with(&[]))), [0; 0]);
        assert_eq!(pids(&later.grow(&with(&[ours]))), [0; 0], "only the first look may guess");
    }

    #[test]
    fn the_dead_are_gone() {
        let dead = Process { dead: true, ..marked(process(20, 0, 20, 100)) };
        assert_eq!(pids(&tree().grow(&with(&[dead]))), [0; 0]);
    }

    #[test]
    fn without_the_instant_marks_parents_and_sessions_tell() {
        let mut tree = Tree::new(&RunId("run".to_owned()), None);
        let root = piped(marked(process(20, 0, 20, 100)), "pipe:[2]");
        let children = [process(21, 20, 21, 99), process(22, 1, 20, 50), piped(process(23, 1, 23, 101), "pipe:[2]")];
        assert_eq!(pids(&tree.grow(&with(&[&[root][..], &children].concat()))), [20, 21, 22]);
    }
}
