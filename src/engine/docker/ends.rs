//! Ends of containers as the engine tells them by itself: one stream of events for all of them, so
//! that a run that is over in no time costs no question about its end.
//!
//! Nothing depends on it: where the stream is not there yet, breaks off or is forbidden, callers ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::run::labels;

/// How soon it is tried again where the engine has told nothing at all: it may be forbidden.
const AGAIN: Duration = Duration::from_secs(60);

/// The stream and who waits for what.
#[derive(Default)]
pub(super) struct Ends {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    reader: Option<AbortHandle>,
    not_before: Option<Instant>,
    /// It has told something: what happens from here on will be told, too.
    live: bool,
    /// Containers that were started since it is live, and their exit codes.
    started: HashMap<String, watch::Sender<Option<i64>>>,
}

impl Ends {
    /// Begins to listen, unless it does.
    pub(super) fn listen(&self, client: &bollard::Docker) {
        let mut state = lock(&self.state);
        if state.reader.is_none() && state.not_before.is_none_or(|at| at <= Instant::now()) {
            let reader = tokio::spawn(read(client.clone(), Arc::downgrade(&self.state)));
            state.reader = Some(reader.abort_handle());
        }
    }

    /// A container is about to be started.
    pub(super) fn expect(&self, id: &str) {
        let mut state = lock(&self.state);
        if state.live {
            state.started.entry(id.to_owned()).or_insert_with(|| watch::Sender::new(None));
        }
    }

    /// Nobody asks for a container any more.
    pub(super) fn forget(&self, id: &str) {
        lock(&self.state).started.remove(id);
    }

    /// The exit code of a container that was expected, told once: it may be started again.
    /// `None` when the stream is not there.
    pub(super) async fn of(&self, id: &str) -> Option<i64> {
        let mut told = lock(&self.state).started.get(id)?.subscribe();
        // An error: the stream broke off.
        let code = *told.wait_for(Option::is_some).await.ok()?;
        self.forget(id);
        code
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(reader) = lock(&self.state).reader.take() {
            reader.abort();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(client: bollard::Docker, state: Weak<Mutex<State>>) {
    let filter = |key: &str, values: &[&str]| (key.to_owned(), values.iter().map(|v| (*v).to_owned()).collect());
    let filters: HashMap<String, Vec<String>> =
        [filter("type", &["container"]), filter("event", &["create", "die"]), filter("label", &[labels::RUN])].into();
    let options = EventsOptions { filters: Some(filters), ..EventsOptions::default() };
    let mut events = std::pin::pin!(client.events(Some(options)));
    while let Some(Ok(event)) = events.next().await {
        let Some(state) = state.upgrade() else { return };
        lock(&state).heard(&event);
    }
    if let Some(state) = state.upgrade() {
        let mut state = lock(&state);
        let not_before = (!state.live).then(|| Instant::now() + AGAIN);
        *state = State { not_before, ..State::default() };
    }
}

impl State {
    fn heard(&mut self, event: &EventMessage) {
        self.live = true;
        if event.action.as_deref() != Some("die") {
            return;
        }
        let Some(actor) = &event.actor else { return };
        let code = actor.attributes.as_ref().and_then(|all| all.get("exitCode")).and_then(|code| code.parse().ok());
        if let (Some(id), Some(code)) = (&actor.id, code)
            && let Some(told) = self.started.get(id)
        {
            told.send_replace(Some(code));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::EventActor;

    #[tokio::test]
    async fn an_end_is_told_once() {
        let ends = Ends::default();
        lock(&ends.state).live = true;
        ends.expect("a");
        let attributes = Some(HashMap::from([("exitCode".to_owned(), "3".to_owned())]));
        let actor = Some(EventActor { id: Some("a".to_owned()), attributes });
        lock(&ends.state).heard(&EventMessage { action: Some("die".to_owned()), actor, ..EventMessage::default() });
        assert_eq!(ends.of("a").await, Some(3));
        assert_eq!(ends.of("a").await, None, "somebody has started it again");
    }
}
