//! One fake container and how far its script has come.

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::script::{Gate, OnStop, Script, Step};
use crate::engine::{Channel, Frame, HealthState, Life, Seen, SeenMount};
use crate::job::{ContainerSpec, MountSource};

/// The engine cuts longer lines into pieces of this size.
const PIECE: usize = 16 * 1024;

pub(super) struct Container {
    pub(super) seen: Seen,
    pub(super) spec: ContainerSpec,
    /// All that it wrote, over all its starts.
    pub(super) frames: Vec<Frame>,
    script: Script,
    /// The step it is at.
    at: usize,
    /// When it came to that step.
    since: Instant,
}

/// What a running container's next step depends on.
pub(super) enum Pause {
    Gate(Gate),
    Until(Instant),
}

impl Pause {
    pub(super) async fn over(&self) {
        match self {
            Self::Gate(gate) => gate.opened().await,
            Self::Until(instant) => tokio::time::sleep_until(*instant).await,
        }
    }
}

impl Container {
    pub(super) fn new(id: String, name: &str, spec: &ContainerSpec, image: String, script: Script) -> Self {
        let networks = if spec.networks.is_empty() { vec!["bridge".to_owned()] } else { spec.networks.clone() };
        let seen = Seen {
            id,
            name: name.to_owned(),
            life: Life::Created,
            exit_code: None,
            oom: false,
            started_at: None,
            finished_at: None,
            labels: spec.labels.clone(),
            image,
            restart_count: 0,
            health: HealthState::None,
            restart_policy: "no".to_owned(),
            healthcheck: None,
            mounts: mounts(spec),
            networks,
            stop_timeout: None,
            pid: None,
        };
        Self { seen, spec: spec.clone(), frames: Vec::new(), script, at: 0, since: Instant::now() }
    }

    /// Runs it from the first step, as the engine does with an exited one as well.
    pub(super) fn start(&mut self, now: DateTime<Utc>, instant: Instant) {
        self.seen.life = Life::Running;
        self.seen.started_at = Some(now);
        self.seen.exit_code = None;
        self.seen.pid = Some(1);
        self.at = 0;
        self.since = instant;
    }

    /// Does all steps that are due.
    pub(super) fn settle(&mut self, now: DateTime<Utc>, instant: Instant) {
        while self.seen.life == Life::Running {
            // The clock when it came to this step, which may be a while ago.
            let then = now - instant.duration_since(self.since);
            match self.script.steps.get(self.at).cloned() {
                None => return self.end(self.script.code, then),
                Some(Step::Say(channel, bytes)) => self.say(channel, &bytes, then),
                Some(Step::Sleep(time)) if self.since + time <= instant => self.since += time,
                Some(Step::Wait(gate)) if gate.is_open() => self.since = instant,
                Some(Step::Sleep(_) | Step::Wait(_) | Step::Forever) => return,
            }
            self.at += 1;
        }
    }

    pub(super) fn pause(&self) -> Option<Pause> {
        if self.seen.life != Life::Running {
            return None;
        }
        match self.script.steps.get(self.at)? {
            Step::Sleep(time) => Some(Pause::Until(self.since + *time)),
            Step::Wait(gate) => Some(Pause::Gate(gate.clone())),
            Step::Say(..) | Step::Forever => None,
        }
    }

    /// The code it ends with when told to stop; `None` when it takes no notice.
    pub(super) const fn code_when_stopped(&self) -> Option<i64> {
        match self.script.on_stop {
            OnStop::Dies => Some(143),
            OnStop::Exits(code) => Some(code),
            OnStop::Ignores => None,
        }
    }

    pub(super) fn end(&mut self, code: i64, now: DateTime<Utc>) {
        if self.seen.life == Life::Running {
            self.seen.life = Life::Exited;
            self.seen.exit_code = Some(code);
            self.seen.finished_at = Some(now);
            self.seen.pid = None;
        }
    }

    /// Stores lines as the engine does: in pieces, all pieces of a line with one time stamp.
    fn say(&mut self, channel: Channel, bytes: &[u8], now: DateTime<Utc>) {
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let after = self.frames.last().map_or(0, |f| f.time_ns + 1);
            let time_ns = now.timestamp_nanos_opt().unwrap_or(i64::MAX).max(after);
            self.frames.extend(line.chunks(PIECE).map(|piece| Frame { channel, time_ns, bytes: piece.to_vec() }));
        }
    }
}

fn mounts(spec: &ContainerSpec) -> Vec<SeenMount> {
    let mount = |m: &crate::job::Mount| {
        let (kind, name, source) = match &m.source {
            MountSource::Bind(path) => ("bind", None, path.clone()),
            MountSource::Volume(name) => ("volume", Some(name.clone()), format!("/volumes/{name}").into()),
            MountSource::Anonymous => ("volume", None, "/volumes/anonymous".into()),
            MountSource::Tmpfs(_) => ("tmpfs", None, std::path::PathBuf::new()),
        };
        SeenMount { kind: kind.to_owned(), name, source, target: m.target.clone(), writable: !m.read_only }
    };
    spec.mounts.iter().map(mount).collect()
}
