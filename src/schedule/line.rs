//! A zone's wall clock along the line of time: gaps, repeats, and what cron makes of them.
//!
//! Both classes of jobs follow Vixie cron. A wildcard job is due whenever the wall clock shows a
//! match, so never in a gap and in both passes of a repeat. A fixed-time job is due when the
//! *highest* time that the wall clock has shown so far reaches a match: a repeat shows nothing
//! higher, and a gap reaches all of its matches at once, at its end.

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::cron::Cron;

/// The last instant that RFC 3339 can write.
pub(super) const LAST: DateTime<Utc> = instant(253_402_300_799);
/// Start of the year 1, before any schedule.
const FIRST: DateTime<Utc> = instant(-62_135_596_800);

/// Offsets never change twice within this span (the closest pair of the IANA data is seven days
/// apart), and no change moves the wall clock by more than half of it.
const SPAN: TimeDelta = TimeDelta::days(2);
const SECOND: TimeDelta = TimeDelta::seconds(1);

const fn instant(timestamp: i64) -> DateTime<Utc> {
    match DateTime::from_timestamp(timestamp, 0) {
        Some(instant) => instant,
        None => DateTime::UNIX_EPOCH,
    }
}

/// The whole second at or before an instant; `None` after the last one.
pub(super) fn whole_second(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let at = DateTime::from_timestamp(at.timestamp(), 0)?;
    (at <= LAST).then_some(at.max(FIRST))
}

/// The wall clock of a zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line(pub(super) Tz);

impl Line {
    /// The first instant after `after` at which the pattern is due.
    pub(super) fn next(self, cron: &Cron, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if cron.wildcard {
            self.next_shown(cron, after + SECOND)
        } else {
            cron.next(self.highest(after) + SECOND).map(|local| self.reached(local))
        }
    }

    /// How often the pattern is due after `after` and until `until`.
    pub(super) fn count(self, cron: &Cron, after: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
        let mut total = 0;
        // Matches up to this wall time are counted, or not to be counted.
        let mut seen = if cron.wildcard { self.local(after) } else { self.highest(after) };
        let mut at = after;
        loop {
            let change = self.change(at, until);
            let end = self.local(change.map_or(until, |change| change - SECOND));
            if end > seen {
                total += cron.count(seen, end);
                seen = end;
            }
            let Some(change) = change else { return total };
            let start = self.local(change);
            if cron.wildcard {
                seen = start - SECOND;
            } else if start > seen {
                total += cron.count(seen, start).min(1);
                seen = start;
            }
            at = change;
        }
    }

    /// The first instant from `from` on whose wall time matches.
    fn next_shown(self, cron: &Cron, mut from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        loop {
            let candidate = cron.next(self.local(from))?.and_utc() - self.offset(from);
            // Nothing matches between here and there but near a change.
            match self.change(from, candidate.min(from + SPAN)) {
                Some(change) => from = change,
                None if candidate - from > SPAN => from = (candidate - SPAN).max(from + SPAN),
                None => return Some(candidate),
            }
        }
    }

    /// The highest wall time shown until this instant.
    fn highest(self, at: DateTime<Utc>) -> NaiveDateTime {
        let before = self.change(at - SPAN, at).map(|change| self.local(change - SECOND));
        self.local(at).max(before.unwrap_or(NaiveDateTime::MIN))
    }

    /// The first instant at which the wall clock shows this time or a higher one.
    fn reached(self, local: NaiveDateTime) -> DateTime<Utc> {
        let start = local.and_utc() - SPAN;
        let candidate = local.and_utc() - self.offset(start);
        match self.change(start, candidate) {
            None => candidate,
            Some(change) => (local.and_utc() - self.offset(change)).max(change),
        }
    }

    /// The first instant after `from` and until `to` at which another offset begins to hold.
    fn change(self, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let offset = self.offset(from);
        let mut low = from;
        while low < to {
            let mut high = to.min(low + SPAN);
            if self.offset(high) == offset {
                low = high;
                continue;
            }
            while high - low > SECOND {
                let middle = low + TimeDelta::seconds((high - low).num_seconds() / 2);
                if self.offset(middle) == offset { low = middle } else { high = middle }
            }
            return Some(high);
        }
        None
    }

    fn local(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc() + self.offset(at)
    }

    fn offset(self, at: DateTime<Utc>) -> TimeDelta {
        TimeDelta::seconds(self.0.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into())
    }
}
