//! Pauses that grow: 0.1 s, doubled each time, at most 10 s.

use std::time::Duration;

/// A series of pauses.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pause {
    turns: u32,
}

impl Pause {
    pub(super) const LONGEST: Duration = Duration::from_secs(10);

    /// Whether none was taken yet.
    pub(super) const fn is_first(self) -> bool {
        self.turns == 0
    }

    /// Waits for the next pause to be over.
    pub(super) async fn over(&mut self) {
        let pause = Duration::from_millis(100).saturating_mul(1 << self.turns.min(10)).min(Self::LONGEST);
        self.turns += 1;
        tokio::time::sleep(pause).await;
    }
}
