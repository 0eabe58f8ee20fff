//! The audit: what the jobs themselves and the engine say happened, against what Tender says.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::bed::Event;
use super::jobs::Kind;
use super::stack::Stack;

/// What is wrong, one sentence each.
pub struct Books<'a> {
    stack: &'a Stack,
    events: Vec<Event>,
    trail: Vec<String>,
    documents: Vec<Value>,
    wrong: Vec<String>,
}

/// A launch as both sides name it: job, planned instant, attempt, part.
type Key = (String, i64, u64, u64);

impl<'a> Books<'a> {
    /// Opens the books of a stack that has settled.
    pub fn open(stack: &'a Stack) -> Self {
        let said = stack.tender(&["runs", "--json", "--limit", "1000000"]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let trail = std::fs::read_to_string(stack.path("books/trail")).unwrap_or_default();
        Self {
            stack,
            events: stack.recorder.all(stack.jobs_image.name()),
            trail: trail.lines().map(str::to_owned).collect(),
            documents: serde_json::from_slice(&said.stdout).unwrap(),
            wrong: Vec::new(),
        }
    }

    /// Everything that holds for every stack.
    pub fn audit(mut self) {
        self.records();
        self.containers();
        for kind in self.stack.kinds.clone() {
            self.launches(&kind);
            if kind.schedule != "@manual" {
                self.every_second(&kind);
            }
            self.outputs(&kind);
        }
        assert!(self.wrong.is_empty(), "{}:\n{}", self.stack.name, self.wrong.join("\n"));
    }

    fn runs(&self) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(|run| !run["id"].is_null())
    }

    fn runs_of(&self, kind: &Kind) -> Vec<Value> {
        self.runs().filter(|run| run["job"] == kind.name).cloned().collect()
    }

    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(what());
        }
    }

    /// Each launch once, and all of them over.
    fn records(&mut self) {
        let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for run in self.runs().cloned().collect::<Vec<_>>() {
            self.check(run["state"] == "finished", || format!("not over: {run}"));
            self.check(ids.insert(run["id"].to_string()), || format!("the id stands twice: {run}"));
            self.check(keys.insert(key(&run)), || format!("two records of one launch: {run}"));
        }
    }

    /// At most one container ever ran for a launch, its end is the recorded one, and none is left.
    fn containers(&mut self) {
        let mut started: BTreeMap<Key, Vec<String>> = BTreeMap::new();
        let mut codes: BTreeMap<String, i64> = BTreeMap::new();
        let (mut made, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for event in self.events.clone() {
            match event.what.as_str() {
                "create" => drop(made.insert(event.container.clone())),
                "destroy" => drop(gone.insert(event.container.clone())),
                "start" => started.entry(key_of(&event)).or_default().push(event.container.clone()),
                "die" => drop(codes.insert(event.container.clone(), event.about("exitCode").parse().unwrap())),
                _ => {}
            }
        }
        let left: Vec<_> = made.difference(&gone).cloned().collect();
        self.check(left.is_empty(), || format!("containers are left over: {left:?}"));
        for run in self.runs().cloned().collect::<Vec<_>>() {
            let containers = started.remove(&key(&run)).unwrap_or_default();
            let ran = matches!(run["outcome"].as_str(), Some("succeeded" | "failed" | "timed-out" | "interrupted"));
            self.check(containers.len() <= 1, || format!("started {} times: {run}", containers.len()));
            self.check(!ran || containers.len() == 1, || format!("never started: {run}"));
            let code = containers.first().and_then(|id| codes.get(id)).copied();
            self.check(!ran || code == run["exit_code"].as_i64(), || format!("it ended with {code:?}: {run}"));
        }
        self.check(started.is_empty(), || format!("ran without a record: {started:?}"));
    }

    /// Each occurrence became all that it has to become, and each launch says so itself.
    fn launches(&mut self, kind: &Kind) {
        let mut occurrences: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
        for run in self.runs_of(kind) {
            let unspoiled = !self.excused(&run);
            let marks = |word: &str| {
                let line = format!("{word} {}", run["id"].as_str().unwrap());
                self.trail.iter().filter(|l| **l == line).count()
            };
            let marks = (marks("start"), marks("end"));
            if kind.lines.is_some() && unspoiled && run["outcome"] != "skipped" {
                self.check(marks == (1, 1), || format!("by its own words it ran {marks:?} times: {run}"));
            }
            occurrences.entry(planned(&run)).or_default().push(run);
        }
        for (_, runs) in occurrences {
            if runs.iter().any(|run| self.excused(run) || run["outcome"] == "skipped") {
                continue;
            }
            let mut expected: Vec<_> =
                kind.launches.iter().map(|l| (u64::from(l.part), u64::from(l.attempt), l.outcome, l.code)).collect();
            let mut found: Vec<_> = runs
                .iter()
                .map(|r| {
                    let number = |key: &str| r[key].as_u64().unwrap();
                    let code = r["exit_code"].as_i64().unwrap_or(-1);
                    (number("part"), number("attempt"), r["outcome"].as_str().unwrap(), code)
                })
                .collect();
            expected.sort_unstable();
            found.sort_unstable();
            let differs = found != expected;
            let what = format!("{}: {found:?} instead of {expected:?}", runs[0]["planned_for"]);
            self.check(!differs, || what);
        }
    }

    /// Whether something was done to this run for which chapter and verse allow it to say less.
    fn excused(&self, run: &Value) -> bool {
        matches!(run["outcome"].as_str(), Some("lost" | "could-not-start")) || !run["output_note"].is_null()
    }

    /// Every instant of the schedule is a run, or counted among the skipped, and none is both.
    fn every_second(&mut self, kind: &Kind) {
        let step = kind.seconds();
        let mut covered: BTreeMap<i64, u32> = BTreeMap::new();
        for line in self.documents.clone().iter().filter(|line| line["job"] == kind.name) {
            if line["id"].is_null() {
                let (from, to) = (instant(&line["skipped_since"]).timestamp(), planned(line));
                let count = line["skipped_count"].as_i64().unwrap();
                let instants: Vec<i64> = (from..=to).filter(|s| s % step == 0).collect();
                // A run may lie between two that were skipped for one reason only where there is none.
                self.check(instants.len() as i64 == count, || format!("{count} are not {}: {line}", instants.len()));
                instants.into_iter().for_each(|s| *covered.entry(s).or_default() += 1);
            } else {
                *covered.entry(planned(line)).or_default() += 1;
            }
        }
        let (Some((first, _)), Some((last, _))) = (covered.first_key_value(), covered.last_key_value()) else {
            return self.check(false, || format!("{} never was due", kind.name));
        };
        for second in (*first..=*last).filter(|s| s % step == 0) {
            let times = covered.get(&second).copied().unwrap_or(0);
            let at = DateTime::from_timestamp(second, 0).unwrap();
            self.wrong.extend((times != 1).then(|| format!("{} of {at} stands {times} times", kind.name)));
        }
    }

    /// The spool of each run and its part of the job's log: complete, in order, once.
    fn outputs(&mut self, kind: &Kind) {
        let log = std::fs::read(self.stack.path("logs").join(format!("{}.log", kind.name))).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let mut said: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
        let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
        let mut heads = 0;
        for line in log.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if let [run, stream @ ("out" | "err"), number] = words[..] {
                said.entry((run, stream)).or_default().push(number.parse().unwrap());
            } else if let Some((_, run)) = line.split_once(" run=").filter(|_| line.contains(" END_TIME=")) {
                *ends.entry(run).or_default() += 1;
            } else if line.starts_with(&format!("{} START_TIME=", kind.name)) {
                heads += 1;
            }
        }
        let runs: Vec<Value> = self.runs_of(kind).into_iter().filter(|r| r["outcome"] != "skipped").collect();
        self.check(heads == runs.len(), || format!("{}: {heads} heads of {} runs in the log", kind.name, runs.len()));
        for run in runs {
            let id = run["id"].as_str().unwrap();
            let marks = ends.get(id).copied().unwrap_or(0);
            self.check(marks == 1, || format!("{marks} end markers: {run}"));
            let Some(lines) = kind.lines.filter(|_| run["outcome"] != "could-not-start") else { continue };
            let spool = self.stack.tender(&["logs", id]);
            let whole: Vec<u32> = (1..=lines).collect();
            for (stream, text) in [("out", &spool.stdout), ("err", &spool.stderr)] {
                let text = String::from_utf8_lossy(text).into_owned();
                let prefix = format!("{id} {stream} ");
                let spooled: Vec<u32> =
                    text.lines().map(|l| l.strip_prefix(&prefix).and_then(|n| n.parse().ok()).unwrap_or(0)).collect();
                let logged = said.get(&(id, stream)).cloned().unwrap_or_default();
                // What may be missing is missing at the end, and the record says so.
                let right = |found: &[u32]| {
                    found == whole || (whole.starts_with(found) && (self.excused(&run) || spoiled(&run)))
                };
                let (in_spool, in_log) = (right(&spooled), right(&logged));
                let same = spooled == logged;
                self.check(in_spool, || format!("the spool holds of {stream} {}: {run}", brief(&spooled)));
                self.check(in_log && same, || format!("the log holds of {stream} {}: {run}", brief(&logged)));
            }
        }
    }
}

/// Killed from outside, so that it never came to its last lines.
fn spoiled(run: &Value) -> bool {
    run["exit_code"] == 137
}

fn brief(numbers: &[u32]) -> String {
    let jumps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).take(5).collect::<Vec<_>>();
    format!("{} lines, {:?} to {:?}, jumps {jumps:?}", numbers.len(), numbers.first(), numbers.last())
}

fn instant(value: &Value) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap().with_timezone(&Utc)
}

fn planned(run: &Value) -> i64 {
    let at = instant(&run["planned_for"]);
    assert_eq!(at, at - TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos())), "a whole second");
    at.timestamp()
}

fn key(run: &Value) -> Key {
    let number = |key: &str| run[key].as_u64().unwrap();
    (run["job"].as_str().unwrap().to_owned(), planned(run), number("attempt"), number("part"))
}

fn key_of(event: &Event) -> Key {
    let planned = DateTime::parse_from_rfc3339(event.about("tender.planned")).unwrap();
    let number = |key: &str| event.about(key).parse().unwrap();
    (event.about("tender.job").to_owned(), planned.timestamp(), number("tender.attempt"), number("tender.part"))
}
