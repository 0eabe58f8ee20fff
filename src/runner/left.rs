//! Containers of recorded runs that the engine would not remove: they are tried again from time to time.

use std::cell::RefCell;
use std::rc::Rc;

use crate::engine::Runs;

/// Their ids. Clones share them; a start of the scheduler finds them without.
#[derive(Debug, Clone, Default)]
pub struct LeftOver(Rc<RefCell<Vec<String>>>);

impl LeftOver {
    pub(super) fn note(&self, container: &str) {
        self.0.borrow_mut().push(container.to_owned());
    }

    /// Tries each once more.
    pub(super) async fn remove(self, engine: Rc<impl Runs>) {
        for id in self.0.take() {
            match engine.remove(&id).await {
                Ok(()) => tracing::info!(container = id, "what was left of a run is removed"),
                Err(error) => {
                    tracing::debug!(container = id, "still cannot be removed: {error}");
                    self.note(&id);
                }
            }
        }
    }
}
