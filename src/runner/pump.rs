//! Who begins now: the decision about all rows that wait, and what becomes durable of it.

use std::cell::Ref;

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::guard::{self, Busy};
use super::line::Why;
use super::next;
use super::perform::Entry;
use super::queued::Jobs;
use super::room::{Event, Runner};
use crate::engine::Host;
use crate::job::Job;
use crate::run::{Outcome, RunId, RunRecord, SkipReason, State};
use crate::store::{Decided, Skipped};

/// Most rows that are written in one go: the others come with the next, so that nobody waits long.
const MOST: usize = 1000;

/// A decision, free of what it was made from.
#[derive(Default)]
struct Verdicts {
    start: Vec<RunId>,
    skip: Vec<(RunId, SkipReason)>,
    give_up: Vec<(RunId, String)>,
    /// What a row waits for now, and whether that is a lock, where it has changed.
    wait: Vec<(RunId, u64, bool, String)>,
    again: Option<DateTime<Utc>>,
}

impl<E: Host + 'static> Runner<E> {
    /// Starts what may start, and notes what the others wait for. Gives the records of those that
    /// were skipped. Call it after [`Runner::enqueue`] and after each event.
    ///
    /// # Errors
    /// When the store cannot be written. What was started goes on.
    pub async fn pump(&mut self, jobs: &[Job], now: DateTime<Utc>) -> Result<Vec<RunRecord>> {
        self.output.retry();
        self.again = None;
        if self.queue.is_empty() {
            self.keep_services_up();
            return Ok(vec![]);
        }
        let jobs: Jobs<'_> = jobs.iter().map(|job| (&job.name, job)).collect();
        let mut verdicts = self.decide(&jobs, now);
        self.again = verdicts.again;
        for id in std::mem::take(&mut verdicts.start) {
            if let Some(queued) = self.queue.remove(&id) {
                let job = queued.definition(&jobs).cloned().map(std::rc::Rc::new);
                self.spawn(queued.record, job, Entry::Fresh);
            }
        }
        // Not before: what was stopped for a run that goes on now stays down.
        self.keep_services_up();
        let written = self.write(verdicts, &jobs, now).await;
        if written.is_err() {
            // As it was not noted, it is decided again; not at once, for it may fail for long.
            self.again = Some(now + chrono::TimeDelta::seconds(1));
        }
        written
    }

    fn decide(&self, jobs: &Jobs<'_>, now: DateTime<Utc>) -> Verdicts {
        let planned: Vec<_> = self.queue.iter().map(|queued| queued.waiting(jobs)).collect();
        let rows: Vec<(Ref<'_, RunRecord>, &[String])> =
            self.active.values().map(|active| (active.shared.borrow(), active.locks.as_slice())).collect();
        let busy: Vec<Busy<'_>> = rows.iter().map(|(record, locks)| Busy { record, locks }).collect();
        let decision = guard::decide(now, &planned, &busy, self.room.settings.max_running);
        let mut verdicts = Verdicts {
            start: decision.start.iter().map(|row| row.id.clone()).collect(),
            skip: decision.skip.iter().map(|(row, reason)| (row.id.clone(), *reason)).collect(),
            give_up: decision.give_up.into_iter().map(|(row, why)| (row.id.clone(), why)).collect(),
            wait: Vec::new(),
            again: decision.again,
        };
        for (waiting, why) in &decision.wait {
            let (row, digest) = (waiting.record, why.digest());
            if waiting.noted != Some(digest) {
                if verdicts.wait.len() == MOST {
                    verdicts.again = Some(now);
                    break;
                }
                verdicts.wait.push((row.id.clone(), digest, matches!(why, Why::Lock { .. }), why.to_string()));
            }
        }
        if verdicts.skip.len() > MOST {
            verdicts.skip.truncate(MOST);
            verdicts.again = Some(now);
        }
        verdicts
    }

    /// Makes durable what was decided, in one commit, and lets go of what will not run.
    async fn write(&mut self, verdicts: Verdicts, jobs: &Jobs<'_>, now: DateTime<Utc>) -> Result<Vec<RunRecord>> {
        let mut decided = Decided::default();
        for (id, reason) in verdicts.skip {
            let Some(queued) = self.queue.get(&id) else { continue };
            let next = queued.given_up(reason, now).into_iter().collect();
            decided.skipped.push(Skipped { record: queued.record.clone(), reason, next });
        }
        for (id, why) in verdicts.give_up {
            let Some(queued) = self.queue.get(&id) else { continue };
            let mut record = queued.record.clone();
            record.state = State::Finished(Outcome::CouldNotStart(why));
            record.finished_at = Some(now);
            let next = queued.definition(jobs).map_or_else(Vec::new, |job| next::rows(&record, job, now));
            decided.finished.push((record, next));
        }
        for (id, _, is_lock, why) in &verdicts.wait {
            let Some(queued) = self.queue.get_mut(id) else { continue };
            queued.locked_since = if *is_lock { queued.locked_since.or(Some(now)) } else { None };
            let mut record = queued.record.clone();
            record.state = State::Planned { waiting: Some(why.clone()) };
            decided.waiting.push(record);
        }
        if decided.is_empty() {
            return Ok(vec![]);
        }
        fail::fail_point!("skip.due");
        let settled = self.store.decide(decided, now).await?;
        fail::fail_point!("skip.stored");
        for (record, (id, digest, _, _)) in settled.waiting.into_iter().zip(verdicts.wait) {
            if let Some(queued) = self.queue.get_mut(&id) {
                queued.why = Some(digest);
                queued.record.state = record;
            }
        }
        let mut skipped = Vec::new();
        for (record, next) in settled.skipped.into_iter().chain(settled.finished) {
            let began_as = self.queue.remove(&record.id).and_then(|queued| match queued.began_as {
                Some(job) => Some(job),
                None => queued.definition(jobs).cloned().map(std::rc::Rc::new),
            });
            if !next.is_empty() {
                self.again = Some(now);
            }
            self.follow_with(next, began_as.as_ref());
            match record.outcome() {
                Some(Outcome::Skipped(_)) => skipped.push(record),
                _ => {
                    let _ = self.sender.send(Event::Ended(Box::new(record)));
                }
            }
        }
        Ok(skipped)
    }
}
