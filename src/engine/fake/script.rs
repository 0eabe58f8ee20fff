//! What a fake container does.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::Channel;

/// The steps of a container's process, and how it ends.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) code: i64,
    pub(super) on_stop: OnStop,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Say(Channel, Vec<u8>),
    Sleep(Duration),
    Wait(Gate),
    Forever,
}

/// What the stop signal does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum OnStop {
    /// It dies of it.
    #[default]
    Dies,
    /// It ends with a code of its own.
    Exits(i64),
    /// Nothing; it must be killed.
    Ignores,
}

impl Script {
    /// Ends at once with this code.
    pub fn exits(code: i64) -> Self {
        Self { code, ..Self::default() }
    }

    /// Runs until it is stopped.
    pub fn forever() -> Self {
        Self { steps: vec![Step::Forever], ..Self::default() }
    }

    /// Then writes to standard output.
    #[must_use]
    pub fn out(self, text: impl AsRef<[u8]>) -> Self {
        self.step(Step::Say(Channel::Out, text.as_ref().to_vec()))
    }

    /// Then writes to standard error.
    #[must_use]
    pub fn err(self, text: impl AsRef<[u8]>) -> Self {
        self.step(Step::Say(Channel::Err, text.as_ref().to_vec()))
    }

    /// Then takes this long.
    #[must_use]
    pub fn takes(self, time: Duration) -> Self {
        self.step(Step::Sleep(time))
    }

    /// Then waits until the test opens the gate.
    #[must_use]
    pub fn waits(self, gate: &Gate) -> Self {
        self.step(Step::Wait(gate.clone()))
    }

    /// Then goes on until it is stopped.
    #[must_use]
    pub fn stays(self) -> Self {
        self.step(Step::Forever)
    }

    /// Ends with this code when it is told to stop, instead of 143.
    #[must_use]
    pub fn on_stop(self, code: i64) -> Self {
        Self { on_stop: OnStop::Exits(code), ..self }
    }

    /// Takes no notice of the stop signal: it is killed after the grace.
    #[must_use]
    pub fn ignores_stop(self) -> Self {
        Self { on_stop: OnStop::Ignores, ..self }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// Something that containers wait for until the test opens it. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Rc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Rc::new(watch::Sender::new(false)))
    }

    /// Opens it, for ever.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    pub(super) async fn opened(&self) {
        // The sender lives as long as `self`, so this ends only when the gate is open.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
