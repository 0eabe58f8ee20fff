//! What is needed beyond the life of one fake container.

use std::time::Duration;

use futures_util::StreamExt;

use super::runs::unknown;
use super::script::{Script, Step};
use super::{Fake, seconds};
use crate::engine::{Channel, Created, EngineError, Host, Life, Me, Result, Runs, Seen};
use crate::job::{ContainerSpec, ExecSpec};

impl Host for Fake {
    async fn me(&self) -> Result<Option<Me>> {
        self.call("me", "", |world| {
            let name = world.me.clone();
            Ok(name.and_then(|n| world.find(&n).map(|c| Me { seen: c.seen.clone() })))
        })
    }

    async fn attach_once(
        &self,
        name: &str,
        spec: &ContainerSpec,
        timeout: Duration,
        sink: &mut dyn FnMut(Channel, &[u8]),
    ) -> Result<i64> {
        self.call("attach_once", &format!("{name} {}", seconds(timeout)), |_| Ok(()))?;
        let id = match self.create(name, spec).await? {
            Created::New(id) => id,
            Created::Taken(seen) => {
                return Err(EngineError::Conflict(format!("the name {name} is taken by container {}", seen.id)));
            }
        };
        let attended = async {
            self.start(&id).await?;
            let mut frames = self.output(&id, 0);
            while let Some(frame) = frames.next().await {
                let frame = frame?;
                sink(frame.channel, &frame.bytes);
            }
            self.exit(&id).await
        };
        let ended = tokio::time::timeout(timeout, attended).await;
        let removed = self.remove(&id).await;
        let code = ended.unwrap_or_else(|_| Err(EngineError::Other(format!("{name} did not end in time"))))?;
        removed.map(|()| code)
    }

    async fn exec_create(&self, id_or_name: &str, spec: &ExecSpec) -> Result<String> {
        let about = self.world.borrow_mut().called(id_or_name);
        self.call("exec_create", &format!("{about} {}", spec.command.join(" ")), |world| {
            let container = world.find(id_or_name).ok_or_else(|| unknown(id_or_name))?;
            if container.seen.life != Life::Running {
                return Err(EngineError::Conflict(format!("Container {id_or_name} is not running")));
            }
            let (id, name) = (container.seen.id.clone(), container.seen.name.clone());
            let script = world.next_script(&format!("exec {name}")).unwrap_or_default();
            world.execs.push((id, script, spec.clone()));
            Ok((world.execs.len() - 1).to_string())
        })
    }

    async fn exec_start(&self, exec: &str, sink: &mut dyn FnMut(Channel, &[u8])) -> Result<i64> {
        let (id, script) = self.call("exec_start", exec, |world| {
            let found = exec.parse().ok().and_then(|at: usize| world.execs.get(at));
            let (id, script, _) = found.ok_or_else(|| unknown(exec))?;
            Ok((id.clone(), script.clone()))
        })?;
        tokio::select! {
            biased;
            code = self.executed(&id, &script, sink) => code,
            broken = self.wait(&id, |_| Ok(None::<i64>)) => broken,
        }
    }

    async fn exec_look(&self, exec: &str) -> Result<Option<i64>> {
        self.call("exec_look", exec, |world| Ok(world.exec_looks.pop_front().flatten()))
    }

    async fn project(&self, project: &str) -> Result<Vec<Seen>> {
        self.call("project", project, |world| {
            let of = |seen: &Seen| seen.labels.get("com.docker.compose.project").is_some_and(|p| p == project);
            Ok(world.containers.iter().map(|c| c.seen.clone()).filter(of).collect())
        })
    }

    async fn project_volumes(&self, project: &str) -> Result<Vec<String>> {
        self.call("project_volumes", project, |world| Ok(world.volumes.get(project).cloned().unwrap_or_default()))
    }

    async fn has_volume(&self, name: &str) -> Result<bool> {
        self.call("has_volume", name, |world| Ok(world.volumes.values().flatten().any(|known| known == name)))
    }

    async fn rename(&self, id: &str, name: &str) -> Result<()> {
        self.call("rename", id, |world| {
            if world.find(name).is_some() {
                return Err(EngineError::Conflict(format!("the name {name} is in use")));
            }
            world.find(id).ok_or_else(|| unknown(id))?.seen.name = name.to_owned();
            Ok(())
        })
    }

    async fn image_id(&self, image: &str) -> Result<Option<String>> {
        self.call("image_id", image, |world| Ok(world.image_id(image)))
    }

    async fn image_tag(&self, image: &str, name: &str) -> Result<()> {
        self.call("image_tag", &format!("{image} {name}"), |world| {
            let id = world.image_id(image).ok_or_else(|| EngineError::NotFound(format!("No such image: {image}")))?;
            world.images.insert(name.to_owned(), id);
            Ok(())
        })
    }

    async fn image_untag(&self, name: &str) -> Result<()> {
        self.call("image_untag", name, |world| {
            world.images.remove(name);
            Ok(())
        })
    }

    async fn image_names(&self, prefix: &str) -> Result<Vec<String>> {
        self.call("image_names", prefix, |world| {
            Ok(world.images.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
        })
    }

    async fn tail(&self, id: &str, lines: usize) -> Result<String> {
        self.call("tail", id, |world| {
            let frames = &world.find(id).ok_or_else(|| unknown(id))?.frames;
            let all: Vec<u8> = frames.iter().flat_map(|f| f.bytes.clone()).collect();
            let text = String::from_utf8_lossy(&all).into_owned();
            let skip = text.lines().count().saturating_sub(lines);
            Ok(text.split_inclusive('\n').skip(skip).collect())
        })
    }
}

impl Fake {
    /// Does what a command does, until it ends.
    async fn executed(&self, id: &str, script: &Script, sink: &mut dyn FnMut(Channel, &[u8])) -> Result<i64> {
        for step in &script.steps {
            match step {
                Step::Say(channel, bytes) => sink(*channel, bytes),
                Step::Sleep(time) => tokio::time::sleep(*time).await,
                Step::Wait(gate) => gate.opened().await,
                Step::Forever => {
                    let stopped =
                        self.wait(id, |w| Ok(w.find(id).is_none_or(|c| c.seen.life != Life::Running).then_some(())));
                    stopped.await?;
                    return Ok(137);
                }
            }
        }
        Ok(script.code)
    }
}
