//! Wall clock against elapsed time: tells a step of the clock from time that passed.

use chrono::{DateTime, TimeDelta, Utc};
use rustix::time::{ClockId, clock_gettime};

/// A step of the wall clock: at one moment it showed `from`, and then `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What it would have gone on showing.
    pub from: DateTime<Utc>,
    /// What it went on from instead.
    pub to: DateTime<Utc>,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) wall: DateTime<Utc>,
    /// Since the boot of the host, time asleep included: a suspended host is no step.
    pub(super) elapsed: TimeDelta,
}

/// Smaller differences are slewing, or the time between reading the two clocks. No occurrence is
/// repeated by them, as the planner goes on from its watermark.
const LEAST_STEP: TimeDelta = TimeDelta::seconds(1);

impl Reading {
    /// Reads both clocks.
    pub(super) fn now() -> Self {
        let elapsed = clock_gettime(ClockId::Boottime);
        let wall = Utc::now();
        Self { wall, elapsed: TimeDelta::seconds(elapsed.tv_sec) + TimeDelta::nanoseconds(elapsed.tv_nsec) }
    }

    /// The step of the wall clock between an earlier reading and this one, dated at the earlier one
    /// so that nothing is lost which is due in between.
    pub(super) fn step_since(self, earlier: Self) -> Option<Step> {
        let step = (self.wall - earlier.wall) - (self.elapsed - earlier.elapsed);
        (step.abs() >= LEAST_STEP).then(|| Step { from: earlier.wall, to: earlier.wall + step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(wall: i64, elapsed: i64) -> Reading {
        Reading {
            wall: DateTime::from_timestamp_millis(1_700_000_000_000 + wall).unwrap(),
            elapsed: TimeDelta::milliseconds(elapsed),
        }
    }

    #[test]
    fn steps_and_no_steps() {
        let before = reading(0, 0);
        for (wall, elapsed, step) in [
            (1_000, 1_000, None),
            (1_400, 1_000, None),
            (100, 1_000, None),
            (28_800_000, 28_800_000, None), // the host slept
            (3_601_000, 1_000, Some(3_600_000)),
            (-3_599_000, 1_000, Some(-3_600_000)),
            (-500, 500, Some(-1_000)),
        ] {
            let found = reading(wall, elapsed).step_since(before);
            assert_eq!(found.map(|s| (s.to - s.from).num_milliseconds()), step, "{wall} {elapsed}");
            assert!(found.is_none_or(|s| s.from == before.wall));
        }
    }

    #[test]
    fn the_real_clocks_agree() {
        let first = Reading::now();
        let second = Reading::now();
        assert_eq!(second.step_since(first), None);
        assert!(second.elapsed >= first.elapsed);
    }
}
