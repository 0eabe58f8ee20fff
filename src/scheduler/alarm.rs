//! The wall-clock alarm: the only user of `tokio-cron-scheduler`, whose repeated job is the tick.
//!
//! The tick makes the loop look at both clocks at least once a second; tokio timers hit the exact
//! instants in between. The crate computes its ticks from the wall clock and goes silent for good
//! after a step, a suspend or a stall, so the tick is renewed when one was seen, and when it stays
//! away for any other reason.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep, timeout};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use uuid::Uuid;

use super::clock::{Reading, Step};

/// Time between ticks; the crate knows whole seconds only.
const TICK: Duration = Duration::from_secs(1);
/// The clocks are looked at so often even without a tick.
const GLANCE: Duration = Duration::from_millis(1500);
/// A tick that stays away for so long is lost.
const LOST: Duration = Duration::from_secs(5);
/// After so long between two looks the crate's tick has gone silent.
const STALL: TimeDelta = TimeDelta::milliseconds(1900);

/// Why the alarm rang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// The instant that was waited for is reached.
    Due,
    /// The wall clock was set.
    Stepped(Step),
    /// The tick had stayed away for 5 s and was made anew; worth a warning.
    TickLost,
}

/// Rings at an instant of the wall clock, or when that clock is set.
pub struct Alarm {
    tick: Tick,
    last_tick: Instant,
    last_look: Reading,
    read: Box<dyn Fn() -> Reading>,
}

impl Alarm {
    /// Starts the tick. Needs a tokio runtime with time enabled.
    ///
    /// # Errors
    /// When the tick cannot be started.
    pub async fn start() -> Result<Self> {
        Self::reading(Box::new(Reading::now)).await
    }

    pub(super) async fn reading(read: Box<dyn Fn() -> Reading>) -> Result<Self> {
        let tick = Tick::start().await?;
        Ok(Self { tick, last_tick: Instant::now(), last_look: read(), read })
    }

    /// Waits until the wall clock shows `due` (for ever without one), is set, or the tick was lost.
    /// Never early; late by a millisecond or two. May be dropped at any time and called again.
    pub async fn next(&mut self, due: Option<DateTime<Utc>>) -> Ring {
        loop {
            if let Some(step) = self.look() {
                return Ring::Stepped(step);
            }
            let left = due.map(|due| due - self.last_look.wall);
            if left.is_some_and(|left| left <= TimeDelta::zero()) {
                return Ring::Due;
            }
            let left = left.and_then(|left| left.to_std().ok()).map_or(GLANCE, |left| left.min(GLANCE));
            tokio::select! {
                biased;
                () = self.tick.rung.notified() => self.last_tick = Instant::now(),
                () = sleep(left) => if self.last_tick.elapsed() >= LOST {
                    self.renew_tick();
                    return Ring::TickLost;
                },
            }
        }
    }

    /// Looks at both clocks.
    fn look(&mut self) -> Option<Step> {
        let now = (self.read)();
        let step = now.step_since(self.last_look);
        if step.is_some() || now.elapsed - self.last_look.elapsed > STALL {
            self.renew_tick();
        }
        self.last_look = now;
        step
    }

    fn renew_tick(&mut self) {
        self.tick.renew();
        self.last_tick = Instant::now();
    }
}

/// The one repeated job of the crate's scheduler.
struct Tick {
    scheduler: JobScheduler,
    job: Arc<Mutex<Uuid>>,
    rung: Arc<Notify>,
}

impl Tick {
    async fn start() -> Result<Self> {
        let about = "failed to start the tick of the alarm";
        let rung = Arc::new(Notify::new());
        let scheduler = JobScheduler::new().await.context(about)?;
        let start = async {
            let job = scheduler.add(job(&rung)?).await?;
            scheduler.start().await?;
            Ok::<_, JobSchedulerError>(job)
        };
        let job = timeout(LOST, start).await.context(about)?.context(about)?;
        Ok(Self { scheduler, job: Arc::new(Mutex::new(job)), rung })
    }

    /// Replaces the job in the background. When that fails the tick stays away, and is found lost.
    fn renew(&self) {
        let (scheduler, id, rung) = (self.scheduler.clone(), self.job.clone(), self.rung.clone());
        tokio::spawn(async move {
            let renewal = async {
                let mut id = id.lock().await;
                // Gone already is as good.
                let _ = timeout(TICK, scheduler.remove(&id)).await;
                *id = scheduler.add(job(&rung)?).await?;
                Ok::<_, JobSchedulerError>(())
            };
            if !matches!(timeout(LOST, renewal).await, Ok(Ok(()))) {
                tracing::warn!("failed to renew the tick of the alarm");
            }
        });
    }
}

fn job(rung: &Arc<Notify>) -> Result<Job, JobSchedulerError> {
    let rung = rung.clone();
    Job::new_repeated_async(TICK, move |_, _| {
        let rung = rung.clone();
        Box::pin(async move { rung.notify_one() })
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn rings_at_the_instant_and_not_before() {
        let mut alarm = Alarm::start().await.unwrap();
        for ahead in [0, 5, 40, 300] {
            let due = Utc::now() + TimeDelta::milliseconds(ahead);
            assert_eq!(alarm.next(Some(due)).await, Ring::Due);
            assert!(Utc::now() >= due);
        }
        assert_eq!(alarm.next(Some(DateTime::UNIX_EPOCH)).await, Ring::Due);
    }

    #[tokio::test]
    async fn the_tick_rings_again_and_again() {
        let alarm = Alarm::start().await.unwrap();
        for _ in 0..2 {
            timeout(Duration::from_secs(20), alarm.tick.rung.notified()).await.unwrap();
        }
    }

    /// A clock that can be set.
    fn settable() -> (Rc<Cell<TimeDelta>>, Box<dyn Fn() -> Reading>) {
        let offset = Rc::new(Cell::new(TimeDelta::zero()));
        let set = offset.clone();
        let read = move || {
            let now = Reading::now();
            Reading { wall: now.wall + offset.get(), ..now }
        };
        (set, Box::new(read))
    }

    #[tokio::test]
    async fn notices_that_the_clock_was_set() {
        let (set, read) = settable();
        let mut alarm = Alarm::reading(read).await.unwrap();
        for hours in [2, -5] {
            let before = set.get();
            set.set(before + TimeDelta::hours(hours));
            let ring = alarm.next(None).await;
            let Ring::Stepped(step) = ring else { panic!("{ring:?}") };
            assert!(((step.to - step.from) - TimeDelta::hours(hours)).abs() < TimeDelta::seconds(1), "{step:?}");
        }
        // A step comes before what it makes due.
        let due = Utc::now() + set.get() + TimeDelta::minutes(10);
        set.set(set.get() + TimeDelta::hours(1));
        assert!(matches!(alarm.next(Some(due)).await, Ring::Stepped(_)));
        assert_eq!(alarm.next(Some(due)).await, Ring::Due);
    }

    #[tokio::test]
    async fn survives_being_dropped_while_it_waits() {
        let mut alarm = Alarm::start().await.unwrap();
        let due = Utc::now() + TimeDelta::milliseconds(200);
        let mut drops = 0;
        loop {
            tokio::select! {
                ring = alarm.next(Some(due)) => { assert_eq!(ring, Ring::Due); break }
                () = sleep(Duration::from_millis(20)) => drops += 1,
            }
        }
        assert!(drops > 2 && Utc::now() >= due);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_tick_is_reported_and_comes_back() {
        let mut alarm = Alarm::start().await.unwrap();
        let id = *alarm.tick.job.lock().await;
        alarm.tick.scheduler.remove(&id).await.unwrap();
        assert_eq!(alarm.next(None).await, Ring::TickLost);
        alarm.tick.rung.notified().await;
        assert_ne!(*alarm.tick.job.lock().await, id);
    }
}
