//! The life of one fake container.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};

use super::{Fake, World, faults, seconds};
use crate::engine::{Created, EngineError, EngineInfo, EngineStart, Frame, Image, Life, Result, Runs, Seen};
use crate::job::{ContainerSpec, PullPolicy};
use crate::secret::Secret;

impl Fake {
    /// Notes a call, and carries it out unless it is made to fail.
    pub(super) fn call<T>(&self, call: &str, about: &str, body: impl FnOnce(&mut World) -> Result<T>) -> Result<T> {
        let mut world = self.world.borrow_mut();
        world.settle();
        let about = world.called(about);
        world.calls.push(format!("{call} {about}"));
        if !world.reachable {
            return Err(EngineError::Unavailable("no engine at fake.sock: is it running and mounted?".to_owned()));
        }
        if let Some(error) = world.faults.before(call) {
            return Err(error);
        }
        let answer = body(&mut world);
        let lost = world.faults.after(call);
        drop(world);
        self.changed.notify_waiters();
        lost.map_or(answer, Err)
    }
}

pub(super) fn unknown(id: &str) -> EngineError {
    EngineError::NotFound(format!("No such container: {id}"))
}

impl Runs for Fake {
    // Its images need no login.
    fn set_logins(&self, _: Option<Secret<String>>) {}

    async fn info(&self) -> Result<EngineInfo> {
        self.call("info", "", |_| {
            Ok(EngineInfo {
                id: "fake-engine".to_owned(),
                version: "0".to_owned(),
                api: "1.41".to_owned(),
                data_root: "/var/lib/fake".into(),
            })
        })
    }

    async fn ensure_image(&self, image: &str, pull: PullPolicy) -> Result<Image> {
        self.call("ensure_image", image, |world| {
            let local = world.image_id(image);
            let pullable = !world.unpullable.contains(image);
            match (local, pull) {
                (Some(id), PullPolicy::Missing | PullPolicy::Never) => Ok(Image { id, warning: None }),
                (None, PullPolicy::Never) => Err(EngineError::NotFound(format!("image {image} is not here"))),
                (_, PullPolicy::Missing | PullPolicy::Always | PullPolicy::Daily) if pullable => {
                    Ok(Image { id: world.add_image(image), warning: None })
                }
                (Some(id), _) => {
                    let warning = format!("image {image} could not be pulled, the local one serves");
                    Ok(Image { id, warning: Some(warning) })
                }
                (None, _) => Err(EngineError::NotFound(format!("image {image} cannot be pulled"))),
            }
        })
    }

    async fn create(&self, name: &str, spec: &ContainerSpec) -> Result<Created> {
        self.call("create", name, |world| {
            if let Some(container) = world.find(name) {
                return Ok(Created::Taken(Box::new(container.seen.clone())));
            }
            if world.image_id(&spec.image).is_none() {
                return Err(EngineError::NotFound(format!("No such image: {}", spec.image)));
            }
            let script = world.script_for(name, spec);
            Ok(Created::New(world.add(name, spec, script)))
        })
    }

    async fn start(&self, id: &str) -> Result<()> {
        self.call("start", id, |world| {
            if std::mem::take(&mut world.pruned) {
                world.take(id);
            }
            let container = world.find(id).ok_or_else(|| unknown(id))?;
            if container.seen.life != Life::Running {
                world.start(id);
            }
            Ok(())
        })
    }

    async fn look(&self, id_or_name: &str) -> Result<Option<Seen>> {
        self.call("look", id_or_name, |world| Ok(world.find(id_or_name).map(|c| c.seen.clone())))
    }

    async fn list(&self, labels: &[(&str, &str)]) -> Result<Vec<String>> {
        self.call("list", "", |world| {
            let fits = |seen: &Seen, key: &str, value: &str| {
                seen.labels.get(key).is_some_and(|found| value.is_empty() || found == value)
            };
            let all = world.containers.iter().map(|c| &c.seen);
            Ok(all.filter(|s| labels.iter().all(|(k, v)| fits(s, k, v))).map(|s| s.id.clone()).collect())
        })
    }

    fn output(&self, id: &str, since_ns: i64) -> impl Stream<Item = Result<Frame>> {
        self.frames("output", id, since_ns, false)
    }

    fn log(&self, id: &str, since_ns: i64) -> impl Stream<Item = Result<Frame>> {
        let id = id.to_owned();
        // Asked for when it is polled, as over the wire.
        stream::once(async move {
            let mut world = self.world.borrow_mut();
            world.settle();
            let cut = world.find(&id).is_some_and(|c| c.seen.life == Life::Running);
            drop(world);
            self.frames("log", &id, since_ns, cut)
        })
        .flatten()
        .boxed_local()
    }

    async fn ended(&self, id: &str) -> Option<i64> {
        if !self.world.borrow().tells {
            return None;
        }
        let end = self.wait(id, |world| {
            let seen = &world.find(id).ok_or_else(|| unknown(id))?.seen;
            Ok((seen.life != Life::Running).then(|| seen.exit_code.unwrap_or(0)))
        });
        end.await.ok()
    }

    async fn exit(&self, id: &str) -> Result<i64> {
        self.call("exit", id, |_| Ok(()))?;
        self.wait(id, |world| {
            let seen = &world.find(id).ok_or_else(|| unknown(id))?.seen;
            Ok((seen.life != Life::Running).then(|| seen.exit_code.unwrap_or(0)))
        })
        .await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        let name = self.world.borrow_mut().called(id);
        let obeyed = self.call("stop", &format!("{name} {}", seconds(grace)), |world| {
            let now = world.now();
            let container = world.find(id).ok_or_else(|| unknown(id))?;
            let code = container.code_when_stopped();
            if let Some(code) = code {
                container.end(code, now);
            }
            Ok(code.is_some())
        })?;
        if obeyed {
            return Ok(());
        }
        let ended =
            self.wait(id, |world| Ok(world.find(id).is_none_or(|c| c.seen.life != Life::Running).then_some(())));
        if let Ok(ended) = tokio::time::timeout(grace, ended).await {
            return ended;
        }
        let mut world = self.world.borrow_mut();
        if !world.reachable {
            return Err(faults::broken_off());
        }
        let now = world.now();
        if let Some(container) = world.find(id) {
            container.end(137, now);
        }
        drop(world);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<()> {
        self.call("remove", id, |world| {
            world.take(id);
            Ok(())
        })
    }

    async fn begun(&self) -> Result<Option<EngineStart>> {
        self.call("begun", "", |world| Ok(Some(world.begin.clone())))
    }
}

impl Fake {
    /// The frames of a container. `cut`: those that were not given yet when it ends are left out.
    fn frames(&self, call: &str, id: &str, since_ns: i64, cut: bool) -> impl Stream<Item = Result<Frame>> + use<'_> {
        let known = self.call(call, id, |world| world.find(id).map(|_| ()).ok_or_else(|| unknown(id)));
        let id = id.to_owned();
        stream::unfold(Some((known, 0)), move |state| {
            let id = id.clone();
            async move {
                let (known, at) = state?;
                let next = match known {
                    Ok(()) => self.wait(&id, |world| Ok(next_frame(world, &id, at, since_ns, cut))).await,
                    Err(error) => Err(error),
                };
                match next {
                    Ok(Some((at, frame))) => Some((Ok(frame), Some((Ok(()), at)))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
        .boxed_local()
    }
}

/// The next frame from `at` on that is not older than asked for; the outer `None` while there may
/// be more to come, the inner one at the end.
fn next_frame(world: &mut World, id: &str, at: usize, since_ns: i64, cut: bool) -> Option<Option<(usize, Frame)>> {
    let Some(container) = world.find(id) else { return Some(None) };
    if cut && container.seen.life != Life::Running {
        return Some(None);
    }
    let mut later = container.frames.iter().enumerate().skip(at);
    match later.find(|(_, frame)| frame.time_ns >= since_ns) {
        Some((at, frame)) => Some(Some((at + 1, frame.clone()))),
        None => (container.seen.life != Life::Running).then_some(None),
    }
}
