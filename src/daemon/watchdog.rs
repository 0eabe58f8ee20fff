//! Ends a process whose loop has stopped turning: a hung holder would keep the lease for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the loop may stand still.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a wait for the engine may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The loop's end of the watchdog.
#[derive(Debug, Clone)]
pub struct Watchdog {
    begun: Instant,
    last: Arc<AtomicU64>,
}

impl Watchdog {
    /// Starts the watching thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start() -> std::io::Result<Self> {
        let dog = Self { begun: Instant::now(), last: Arc::new(AtomicU64::new(0)) };
        let watching = dog.clone();
        std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            let mut looked = Instant::now();
            loop {
                std::thread::sleep(Duration::from_secs(1));
                // A host that was suspended, or a process that was stopped, did not hang: the
                // watchdog itself slept then, and gives the loop its full time again.
                if looked.elapsed() > Duration::from_secs(5) {
                    watching.turn();
                }
                looked = Instant::now();
                if watching.overdue(Instant::now()) {
                    tracing::error!(
                        "the loop has not turned for {} s; ending the process so that it is started anew",
                        LIMIT.as_secs()
                    );
                    std::process::abort();
                }
            }
        })?;
        Ok(dog)
    }

    /// Called each time the loop turns.
    pub fn turn(&self) {
        self.last.store(self.begun.elapsed().as_secs(), Ordering::Relaxed);
    }

    /// Waits for something that may be slow without being a hang, such as an engine that is busy
    /// after a boot; not for ever.
    pub async fn attend<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let begun = Instant::now();
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(Duration::from_secs(1)), if begun.elapsed() < PATIENCE => self.turn(),
            }
        }
    }

    fn overdue(&self, now: Instant) -> bool {
        (now - self.begun).as_secs().saturating_sub(self.last.load(Ordering::Relaxed)) > LIMIT.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_overdue_only_after_its_limit_without_a_turn() {
        let dog = Watchdog { begun: Instant::now(), last: Arc::new(AtomicU64::new(0)) };
        assert!(!dog.overdue(dog.begun + Duration::from_secs(30)));
        assert!(dog.overdue(dog.begun + Duration::from_secs(31)));
        dog.last.store(20, Ordering::Relaxed);
        assert!(!dog.overdue(dog.begun + Duration::from_secs(50)));
        assert!(dog.overdue(dog.begun + Duration::from_secs(51)));
    }
}
