//! An engine at which the process dies: from the nth call on, no answer ever comes.

#[path = "stops/host.rs"]
mod host;

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tender::engine::fake::Fake;
use tender::engine::{Created, EngineInfo, EngineStart, Frame, Image, Result, Runs, Seen};
use tender::job::{ContainerSpec, PullPolicy};
use tender::secret::Secret;
use tokio::sync::Notify;

/// Whether the last call reaches the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
    /// It meets a fault there, and lives on.
    Panic,
}

#[derive(Clone)]
pub struct Stops {
    fake: Fake,
    left: Rc<Cell<usize>>,
    when: When,
    reached: Rc<Notify>,
}

impl Stops {
    pub fn new(fake: Fake, at: usize, when: When) -> Self {
        Self { fake, left: Rc::new(Cell::new(at)), when, reached: Rc::default() }
    }

    /// Waits until the process is dead.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Whether this is the call at which it dies.
    fn dies(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.wrapping_sub(1));
        left == 0
    }

    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let dies = self.dies();
        assert!(!dies || self.when != When::Panic, "a fault on purpose");
        if dies && self.when == When::Before {
            self.reached.notify_one();
            pending::<()>().await;
        }
        let answer = call.await;
        if dies {
            self.reached.notify_one();
            pending::<()>().await;
        }
        answer
    }
}

impl Runs for Stops {
    fn set_logins(&self, text: Option<Secret<String>>) {
        self.fake.set_logins(text);
    }
    async fn info(&self) -> Result<EngineInfo> {
        self.call(self.fake.info()).await
    }
    async fn ensure_image(&self, image: &str, pull: PullPolicy) -> Result<Image> {
        self.call(self.fake.ensure_image(image, pull)).await
    }
    async fn create(&self, name: &str, spec: &ContainerSpec) -> Result<Created> {
        self.call(self.fake.create(name, spec)).await
    }
    async fn start(&self, id: &str) -> Result<()> {
        self.call(self.fake.start(id)).await
    }
    async fn look(&self, id_or_name: &str) -> Result<Option<Seen>> {
        self.call(self.fake.look(id_or_name)).await
    }
    async fn list(&self, labels: &[(&str, &str)]) -> Result<Vec<String>> {
        self.call(self.fake.list(labels)).await
    }
    fn output(&self, _: &str, _: i64) -> impl Stream<Item = Result<Frame>> {
        stream::empty()
    }
    fn log(&self, id: &str, since_ns: i64) -> impl Stream<Item = Result<Frame>> {
        let dies = self.dies();
        assert!(!dies || self.when != When::Panic, "a fault on purpose");
        let reached = Rc::clone(&self.reached);
        let (before, after) = (dies && self.when == When::Before, dies && self.when == When::After);
        let end = stream::once(async move {
            reached.notify_one();
            pending::<Result<Frame>>().await
        });
        let frames = self.fake.log(id, since_ns);
        // In the middle of the output: after its second piece.
        let shown = if before {
            0
        } else if after {
            2
        } else {
            usize::MAX
        };
        let end = if dies { end.left_stream() } else { stream::empty().right_stream() };
        frames.take(shown).chain(end)
    }
    async fn ended(&self, id: &str) -> Option<i64> {
        self.fake.ended(id).await
    }
    async fn exit(&self, id: &str) -> Result<i64> {
        self.call(self.fake.exit(id)).await
    }
    async fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        self.call(self.fake.stop(id, grace)).await
    }
    async fn remove(&self, id: &str) -> Result<()> {
        self.call(self.fake.remove(id)).await
    }
    async fn begun(&self) -> Result<Option<EngineStart>> {
        self.call(self.fake.begun()).await
    }
}
