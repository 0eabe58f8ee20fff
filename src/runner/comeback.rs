//! Starting what was stopped for runs: tried again until it works, over restarts of the scheduler.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;
use tokio::sync::{Mutex, Notify, mpsc};

use super::downed::Down;
use super::pause::Pause;
use super::room::Event;
use super::stop_list::{Back, back, containers};
use crate::engine::Runs;
use crate::run::{RunId, Stopped};
use crate::store::Store;

/// Starts services again when the run that they were stopped for is not under way.
pub(super) struct Comeback<E> {
    engine: Rc<E>,
    store: Store,
    events: mpsc::UnboundedSender<Event>,
    /// Runs under way that may have services stopped, and which.
    held: RefCell<BTreeMap<RunId, Vec<String>>>,
    /// Held while services are started, so that no run begins to stop them meanwhile.
    turn: Mutex<()>,
    wake: Notify,
    /// Whether there may be notes.
    noted: Cell<bool>,
    /// What was said last to stand in the way.
    said: RefCell<Vec<String>>,
}

impl<E: Runs> Comeback<E> {
    /// Nothing is looked at yet.
    pub(super) fn new(engine: Rc<E>, store: Store, events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            engine,
            store,
            events,
            held: RefCell::default(),
            turn: Mutex::default(),
            wake: Notify::new(),
            noted: Cell::new(true),
            said: RefCell::default(),
        }
    }

    /// From now on what was stopped for this run, and these services, stay down.
    pub(super) fn hold(&self, run: &RunId, services: &[String]) {
        self.noted.set(self.noted.get() || !services.is_empty());
        self.held.borrow_mut().insert(run.clone(), services.to_vec());
    }

    /// Waits until nothing is being started that was decided about before the last [`Comeback::hold`].
    pub(super) async fn settled(&self) {
        drop(self.turn.lock().await);
    }

    /// The run is over: starts what was stopped for it. What cannot be started now is tried again.
    /// A run that stops nothing waits for nothing here.
    pub(super) async fn release(&self, run: &RunId) {
        let held = self.held.borrow_mut().remove(run);
        let stops = held.is_some_and(|services| !services.is_empty());
        if self.noted.get() && (!stops || !self.round().await) {
            self.wake.notify_one();
        }
    }

    /// Goes on for ever.
    pub(super) async fn keep(self: Rc<Self>) {
        let mut pause = Pause::default();
        loop {
            if self.round().await {
                pause = Pause::default();
                self.wake.notified().await;
            } else {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = pause.over() => {}
                }
            }
        }
    }

    /// Starts what can be started, the last one stopped first, and says what cannot. Gives whether
    /// nothing is left to try.
    async fn round(&self) -> bool {
        let _turn = self.turn.lock().await;
        let mut wrong = Vec::new();
        match self.store.stopped().await {
            Ok(notes) => {
                self.noted.set(!notes.is_empty() || self.held.borrow().values().any(|list| !list.is_empty()));
                let mut late = Vec::new();
                for note in notes.iter().rev() {
                    match self.bring_back(note, &mut late).await {
                        Ok(()) => {}
                        Err(error) => wrong.push(sentence(note, &error)),
                    }
                }
                // After all others, which need not wait for that.
                for (note, id, time) in late {
                    if let Err(error) = self.watch(note, &id, time).await {
                        wrong.push(sentence(note, &error));
                    }
                }
            }
            Err(error) => wrong.push(format!("what was stopped for runs cannot be read: {error:#}")),
        }
        let nothing_left = wrong.is_empty();
        if *self.said.borrow() != wrong {
            self.said.borrow_mut().clone_from(&wrong);
            // The daemon may have ended in the meantime.
            let _ = self.events.send(Event::StillStopped(wrong));
        }
        nothing_left
    }

    /// Those of these that no run has stopped: the others come back by their notes.
    pub(super) async fn without_noted(&self, mut down: Vec<Down>) -> Result<Vec<Down>> {
        if !down.is_empty() {
            let notes = self.store.stopped().await?;
            down.retain(|down| notes.iter().all(|note| note.container != down.id));
        }
        Ok(down)
    }

    /// Starts what went down with the engine, unless a run needs it down. Gives whether it was.
    pub(super) async fn revive(&self, down: &Down) -> Result<bool> {
        let _turn = self.turn.lock().await;
        if self.held.borrow().values().any(|services| services.contains(&down.service)) {
            return Ok(false);
        }
        self.engine.start(&down.id).await?;
        Ok(true)
    }

    fn stays_down(&self, note: &Stopped) -> bool {
        let held = self.held.borrow();
        held.contains_key(&note.run) || held.values().any(|services| services.contains(&note.service))
    }

    async fn bring_back<'a>(
        &self,
        note: &'a Stopped,
        late: &mut Vec<(&'a Stopped, String, std::time::Duration)>,
    ) -> Result<()> {
        if self.stays_down(note) {
            return Ok(());
        }
        let present = containers(&*self.engine, &note.project, &note.service).await?;
        match back(note, &present) {
            Back::Start(id) => self.start(note, &id).await,
            Back::Watch(id, time) => {
                late.push((note, id, time));
                Ok(())
            }
            Back::Nothing => self.forget(note).await,
        }
    }

    async fn start(&self, note: &Stopped, id: &str) -> Result<()> {
        self.engine.start(id).await?;
        tracing::info!(run.id = %note.run, service = note.service, "started {} again", note.service);
        fail::fail_point!("stop.started");
        self.forget(note).await
    }

    async fn watch(&self, note: &Stopped, id: &str, time: std::time::Duration) -> Result<()> {
        match tokio::time::timeout(time, self.engine.exit(id)).await {
            Ok(ended) => {
                ended?;
                self.start(note, id).await
            }
            Err(_) => self.forget(note).await,
        }
    }

    async fn forget(&self, note: &Stopped) -> Result<()> {
        self.store.forget_stopped(note).await?;
        fail::fail_point!("stop.forgotten");
        Ok(())
    }
}

fn sentence(note: &Stopped, error: &anyhow::Error) -> String {
    format!("{} was stopped for run {} and cannot be started again: {error:#}", note.service, note.run)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::engine::fake::Fake;
    use crate::store::Lease;

    /// The process died between the note and the stop: nothing ever stops.
    #[tokio::test(start_paused = true)]
    async fn what_was_noted_and_never_stopped_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let lease = Lease::try_take(dir.path(), None).unwrap().unwrap();
        let store = Store::open(dir.path(), &lease).unwrap().store;
        let fake = Fake::new();
        fake.service("stack", "web", "web");
        let seen = fake.look("web").await.unwrap().unwrap();
        let note = Stopped {
            run: RunId("r".to_owned()),
            project: "stack".to_owned(),
            service: "web".to_owned(),
            container: seen.id,
            number: Some(1),
            started_at: seen.started_at,
            grace_ms: 60_000,
        };
        store.note_stopped(&note).await.unwrap();
        let (sender, mut events) = mpsc::unbounded_channel();
        let comeback = Comeback::new(Rc::new(fake.clone()), store.clone(), sender);

        comeback.hold(&RunId("other".to_owned()), &["web".to_owned()]);
        assert!(comeback.round().await);
        assert_eq!(store.stopped().await.unwrap(), std::slice::from_ref(&note), "another run needs it down");

        comeback.held.borrow_mut().clear();
        let begun = tokio::time::Instant::now();
        assert!(comeback.round().await);
        assert_eq!(begun.elapsed().as_secs(), 70);
        assert_eq!(store.stopped().await.unwrap(), []);
        assert_eq!(fake.calls_of("start"), [""; 0]);

        let ended = Stopped { started_at: Some(DateTime::UNIX_EPOCH), ..note };
        store.note_stopped(&ended).await.unwrap();
        assert!(comeback.round().await);
        assert_eq!(store.stopped().await.unwrap(), [], "it was started anew meanwhile");
        assert!(events.try_recv().is_err(), "nothing was wrong");
    }
}
