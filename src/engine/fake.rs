//! An engine in memory, for tests: containers follow scripts, calls can fail, time may be paused.
//!
//! Clones share one engine, so that it outlives a scheduler that is dropped and started again.
//! Nothing runs in the background: what a container would have done by now is worked out whenever
//! somebody asks, so that paused time needs no task of its own.

mod container;
mod faults;
mod host;
mod runs;
mod script;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tokio::time::Instant;

pub use script::{Gate, Script};

use self::container::Container;
use self::faults::Faults;
use super::{EngineError, EngineStart, HealthState, Life, Result, Seen};
use crate::job::{ContainerSpec, ExecSpec};
use crate::run::labels;

/// The engine. Cheap to clone; clones are the same engine.
#[derive(Clone)]
pub struct Fake {
    world: Rc<RefCell<World>>,
    changed: Rc<Notify>,
}

struct World {
    clock: Box<dyn Fn() -> DateTime<Utc>>,
    /// In the order of their creation.
    containers: Vec<Container>,
    images: BTreeMap<String, String>,
    unpullable: BTreeSet<String>,
    volumes: BTreeMap<String, Vec<String>>,
    scripts: BTreeMap<String, VecDeque<Script>>,
    /// Commands that were prepared: in which container, what they do, what they were asked to be.
    execs: Vec<(String, Script, ExecSpec)>,
    /// What the next looks at commands find.
    exec_looks: VecDeque<Option<i64>>,
    faults: Faults,
    calls: Vec<String>,
    reachable: bool,
    /// Whether it tells of ends by itself.
    tells: bool,
    /// The next container is removed right before its start.
    pruned: bool,
    /// Counts restarts of the engine; streams of an earlier one have broken off.
    epoch: u64,
    begin: EngineStart,
    me: Option<String>,
    next: u64,
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Fake {
    /// An engine without containers. Its clock is that of the system at this moment, and from
    /// here goes with tokio's time.
    pub fn new() -> Self {
        let (base, begin) = (Utc::now(), Instant::now());
        Self::with_clock(move || base + Instant::now().duration_since(begin))
    }

    /// An engine with another clock.
    pub fn with_clock(clock: impl Fn() -> DateTime<Utc> + 'static) -> Self {
        let world = World {
            begin: EngineStart { at: clock(), swept: BTreeMap::new() },
            clock: Box::new(clock),
            containers: Vec::new(),
            images: BTreeMap::new(),
            unpullable: BTreeSet::new(),
            volumes: BTreeMap::new(),
            scripts: BTreeMap::new(),
            execs: Vec::new(),
            exec_looks: VecDeque::new(),
            faults: Faults::default(),
            calls: Vec::new(),
            reachable: true,
            tells: false,
            pruned: false,
            epoch: 0,
            me: None,
            next: 0,
        };
        Self { world: Rc::new(RefCell::new(world)), changed: Rc::new(Notify::new()) }
    }

    /// What containers do whose name, job or image is `key`; without a script they exit with 0.
    /// Given several times, each next container takes the next one, and the last one stays.
    pub fn script(&self, key: &str, script: Script) {
        self.world.borrow_mut().scripts.entry(key.to_owned()).or_default().push_back(script);
    }

    /// What they do from now on, whatever was said before.
    pub fn rescript(&self, key: &str, script: Script) {
        self.world.borrow_mut().scripts.insert(key.to_owned(), [script].into());
    }

    /// What commands executed in the container of this name do.
    pub fn script_exec(&self, name: &str, script: Script) {
        self.script(&format!("exec {name}"), script);
    }

    /// An image that is there.
    pub fn image(&self, name: &str) {
        self.world.borrow_mut().add_image(name);
    }

    /// An image that cannot be pulled. One that is there stays there.
    pub fn unpullable(&self, name: &str) {
        self.world.borrow_mut().unpullable.insert(name.to_owned());
    }

    /// A running container of a compose project, with compose's labels.
    pub fn service(&self, project: &str, service: &str, name: &str) {
        let spec = ContainerSpec {
            image: format!("image-of-{service}"),
            labels: [
                ("com.docker.compose.project", project),
                ("com.docker.compose.service", service),
                ("com.docker.compose.container-number", "1"),
                ("com.docker.compose.oneoff", "False"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
            ..ContainerSpec::default()
        };
        let mut world = self.world.borrow_mut();
        world.add_image(&spec.image);
        let id = world.add(name, &spec, Script::forever());
        world.start(&id);
        world.edit(&id, |seen| "always".clone_into(&mut seen.restart_policy));
    }

    /// A volume of a compose project.
    pub fn volume(&self, project: &str, name: &str) {
        self.world.borrow_mut().volumes.entry(project.to_owned()).or_default().push(name.to_owned());
    }

    /// Changes what `inspect` says of a container, by id or name.
    pub fn edit(&self, id_or_name: &str, change: impl FnOnce(&mut Seen)) {
        self.world.borrow_mut().edit(id_or_name, change);
        self.changed.notify_waiters();
    }

    /// Sets the health of a container.
    pub fn set_health(&self, id_or_name: &str, health: HealthState) {
        self.edit(id_or_name, |seen| seen.health = health);
    }

    /// Says which container the process under test runs in.
    pub fn set_me(&self, name: &str) {
        self.world.borrow_mut().me = Some(name.to_owned());
    }

    /// The next call of this name (`create`, `start`, …) fails, and nothing is done.
    pub fn fail_next(&self, call: &str, error: EngineError) {
        self.world.borrow_mut().faults.refuse(call, error);
    }

    /// The next call of this name is carried out, but its answer does not arrive.
    pub fn lose_answer(&self, call: &str) {
        self.world.borrow_mut().faults.lose(call);
    }

    /// Whether the engine can be reached. Containers go on while it cannot; streams break off.
    pub fn set_reachable(&self, reachable: bool) {
        let mut world = self.world.borrow_mut();
        world.reachable = reachable;
        world.epoch += u64::from(!reachable);
        drop(world);
        self.changed.notify_waiters();
    }

    /// Stops and starts the engine: running containers end with 143 (137 where they ignore the
    /// stop signal), those with the restart policy `always` run anew, streams break off.
    pub fn engine_restart(&self) {
        self.world.borrow_mut().restart_engine(false);
        self.changed.notify_waiters();
    }

    /// As [`Fake::engine_restart`], but after a crash: it is the new process that ends them.
    pub fn engine_crash(&self) {
        self.world.borrow_mut().restart_engine(true);
        self.changed.notify_waiters();
    }

    /// Takes a container away, as somebody with `docker rm -f` would.
    pub fn vanish(&self, id_or_name: &str) {
        self.world.borrow_mut().take(id_or_name);
        self.changed.notify_waiters();
    }

    /// Takes the next container away right before its start, as `docker container prune` may.
    pub fn prune_before_start(&self) {
        self.world.borrow_mut().pruned = true;
    }

    /// Kills a container, as somebody with `docker kill` would.
    pub fn kill(&self, id_or_name: &str) {
        self.kill_as(id_or_name, false);
    }

    /// Kills a container, as the kernel does when memory is short.
    pub fn kill_for_memory(&self, id_or_name: &str) {
        self.kill_as(id_or_name, true);
    }

    fn kill_as(&self, id_or_name: &str, oom: bool) {
        let mut world = self.world.borrow_mut();
        world.settle();
        let now = world.now();
        if let Some(container) = world.find(id_or_name) {
            container.end(137, now);
            container.seen.oom = oom;
        }
        drop(world);
        self.changed.notify_waiters();
    }

    /// From now on it tells by itself how containers end.
    pub fn tells_ends(&self) {
        self.world.borrow_mut().tells = true;
    }

    /// All calls so far, each as its name and what it was about: `create tender-a-b`.
    pub fn calls(&self) -> Vec<String> {
        self.world.borrow().calls.clone()
    }

    /// What the calls of this name were about, in order.
    pub fn calls_of(&self, call: &str) -> Vec<String> {
        let calls = self.calls();
        calls.iter().filter_map(|c| c.split_once(' ')).filter(|(n, _)| *n == call).map(|(_, a)| a.to_owned()).collect()
    }

    /// Names of all containers, in the order of their creation.
    pub fn names(&self) -> Vec<String> {
        self.world.borrow().containers.iter().map(|c| c.seen.name.clone()).collect()
    }

    /// The spec that a container was created from.
    pub fn spec(&self, id_or_name: &str) -> Option<ContainerSpec> {
        self.world.borrow_mut().find(id_or_name).map(|c| c.spec.clone())
    }

    /// What commands were asked to be, in the order in which they were prepared.
    pub fn execs(&self) -> Vec<ExecSpec> {
        self.world.borrow().execs.iter().map(|(_, _, spec)| spec.clone()).collect()
    }

    /// What the next looks at a command find whose connection broke off: its code, or that it
    /// goes on, which further ones find as well.
    pub fn exec_looks(&self, found: &[Option<i64>]) {
        self.world.borrow_mut().exec_looks.extend(found);
    }

    /// Waits until `ready` answers something, looking again whenever anything may have changed.
    /// `about` is the container whose script may be what is waited for.
    async fn wait<T>(&self, about: &str, mut ready: impl FnMut(&mut World) -> Result<Option<T>>) -> Result<T> {
        let epoch = self.world.borrow().epoch;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let pause = {
                let mut world = self.world.borrow_mut();
                world.settle();
                if !world.reachable || world.epoch != epoch {
                    return Err(faults::broken_off());
                }
                if let Some(answer) = ready(&mut world)? {
                    return Ok(answer);
                }
                world.find(about).and_then(|c| c.pause())
            };
            match pause {
                Some(pause) => tokio::select! { () = changed => {}, () = pause.over() => {} },
                None => changed.await,
            }
        }
    }
}

impl World {
    fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// Lets every container do what it would have done by now.
    fn settle(&mut self) {
        let (now, instant) = (self.now(), Instant::now());
        for container in &mut self.containers {
            container.settle(now, instant);
        }
    }

    fn restart_engine(&mut self, crashed: bool) {
        self.settle();
        self.epoch += 1;
        let now = self.now();
        // Later than anything that was started in the same instant of a paused clock.
        self.begin = EngineStart { at: now + TimeDelta::nanoseconds(1), swept: BTreeMap::new() };
        let running: Vec<String> =
            self.containers.iter().filter(|c| c.seen.life == Life::Running).map(|c| c.seen.id.clone()).collect();
        for id in running {
            let Some(container) = self.find(&id) else { continue };
            let code = container.code_when_stopped().unwrap_or(137);
            container.end(code, now);
            let again = container.seen.restart_policy == "always";
            if crashed {
                self.begin.swept.insert(id.clone(), now);
            }
            if again {
                self.start(&id);
            }
        }
    }

    fn find(&mut self, id_or_name: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|c| c.seen.id == id_or_name || c.seen.name == id_or_name)
    }

    /// Its name where it has one: calls are easier to read that way.
    fn called(&mut self, id_or_name: &str) -> String {
        self.find(id_or_name).map_or(id_or_name, |c| &c.seen.name).to_owned()
    }

    fn take(&mut self, id_or_name: &str) {
        self.containers.retain(|c| c.seen.id != id_or_name && c.seen.name != id_or_name);
    }

    fn edit(&mut self, id_or_name: &str, change: impl FnOnce(&mut Seen)) {
        if let Some(container) = self.find(id_or_name) {
            change(&mut container.seen);
        }
    }

    fn add_image(&mut self, name: &str) -> String {
        let next = self.images.len() + 1;
        self.images.entry(name.to_owned()).or_insert_with(|| format!("sha256:{next:064x}")).clone()
    }

    fn image_id(&self, name: &str) -> Option<String> {
        self.images.get(name).cloned().or_else(|| self.images.values().find(|id| *id == name).cloned())
    }

    fn add(&mut self, name: &str, spec: &ContainerSpec, script: Script) -> String {
        self.next += 1;
        let id = format!("{:012x}{:052x}", self.next, 0);
        let image = self.image_id(&spec.image).unwrap_or_default();
        self.containers.push(Container::new(id.clone(), name, spec, image, script));
        id
    }

    fn start(&mut self, id_or_name: &str) {
        let now = self.now();
        if let Some(container) = self.find(id_or_name) {
            container.start(now, Instant::now());
        }
    }

    fn script_for(&mut self, name: &str, spec: &ContainerSpec) -> Script {
        let job = spec.labels.get(labels::JOB).cloned().unwrap_or_default();
        [name, &job, &spec.image].into_iter().find_map(|key| self.next_script(key)).unwrap_or_default()
    }

    fn next_script(&mut self, key: &str) -> Option<Script> {
        let scripts = self.scripts.get_mut(key)?;
        if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() }
    }
}

/// How a grace is written in the list of calls.
fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}
