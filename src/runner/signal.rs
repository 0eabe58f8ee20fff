//! Signals from inside: a throwaway container in the PID namespace of the one whose processes are
//! meant. The engine's own kill call would mark that one as stopped by hand, and it would not be
//! started again when it crashes later.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::sealed;
use super::labels::Identity;
use crate::engine::{Channel, EngineError, Host, Life, Seen};
use crate::job::ContainerSpec;
use crate::run::{RunId, labels};

/// Variable that tells the program of such a container what to do.
pub const WISH: &str = "TENDER_SIGNAL";

/// Variable that marks the processes of a run inside another container.
pub const MARKER: &str = "TENDER_RUN";

/// How long the start of a container, a kill and the look for what is left may take.
pub const MARGIN: Duration = Duration::from_secs(20);

/// What the program of a signal container does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// Ends all processes of a command: TERM, the grace, KILL.
    End {
        /// The run that marks them.
        run: RunId,
        /// When it was about to be started.
        began: Option<Began>,
        /// Time between TERM and KILL.
        grace: Duration,
    },
    /// Sends one signal to the main process of a container.
    Main {
        /// Id of that container.
        container: String,
        /// The signal, such as `HUP`.
        signal: String,
    },
}

/// An instant of the kernel: what was there before it does not belong to a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// Id of the kernel's start; without the same one the instant says nothing.
    pub boot: String,
    /// Since then.
    pub at: Duration,
}

impl Began {
    /// This instant; `None` where the kernel does not tell.
    pub fn now() -> Option<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let at = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
        Some(Self { boot, at })
    }
}

/// Who sends signals: a run, which the container is a step of.
#[derive(Debug, Clone)]
pub struct Sender<'a> {
    /// Whose containers these are.
    pub identity: &'a Identity,
    /// The run.
    pub run: &'a RunId,
    /// Image of Tender itself.
    pub image: &'a str,
}

impl Sender<'_> {
    /// The name of its container.
    pub fn name(&self) -> String {
        let stack: String = self.identity.stack.chars().take(34).collect();
        format!("tender-{}-signal-{}", stack.trim_end_matches('-'), self.run)
    }

    /// Has a wish carried out among the processes of a running container, by id or name, and gives
    /// the exit code: 0 when all is done, 1 when something is left. A container that ends meanwhile
    /// takes all its processes along.
    ///
    /// # Errors
    /// When the engine does not let it. What is left of it is removed by the next one or by recovery.
    pub async fn send(
        &self,
        host: &impl Host,
        target: &str,
        wish: &Wish,
        sink: &mut dyn FnMut(Channel, &[u8]),
    ) -> Result<i64, EngineError> {
        let (name, spec) = (self.name(), self.spec(target, wish));
        let limit = MARGIN + if let Wish::End { grace, .. } = wish { *grace } else { Duration::ZERO };
        match host.attach_once(&name, &spec, limit, sink).await {
            Err(EngineError::Conflict(why)) => self.after_another(host, &name, &spec, limit, sink, why).await,
            answer => answer,
        }
    }

    /// A process before this one died over the same wish: its container does it, or did.
    async fn after_another(
        &self,
        host: &impl Host,
        name: &str,
        spec: &ContainerSpec,
        limit: Duration,
        sink: &mut dyn FnMut(Channel, &[u8]),
        why: String,
    ) -> Result<i64, EngineError> {
        let Some(other) = host.look(name).await? else { return host.attach_once(name, spec, limit, sink).await };
        if !self.is_its(&other) {
            return Err(EngineError::Conflict(why));
        }
        if other.life == Life::Running {
            // It may hang, as ours may.
            let ended = tokio::time::timeout(limit, host.exit(&other.id)).await;
            tracing::debug!("the signal container {name} of before ended: {ended:?}");
        }
        host.remove(&other.id).await?;
        host.attach_once(name, spec, limit, sink).await
    }

    /// Whether a container is one of those that this run may have left.
    pub fn is_its(&self, seen: &Seen) -> bool {
        self.identity.owns(seen) && seen.labels.get(labels::PARENT).is_some_and(|parent| parent == self.run.as_str())
    }

    fn spec(&self, target: &str, wish: &Wish) -> ContainerSpec {
        let mut spec = sealed(self.image, &["job", "signal"]);
        // The image's init would not be the first process here.
        spec.entrypoint = Some(vec!["tender".to_owned()]);
        spec.pid = Some(format!("container:{target}"));
        spec.mounts.clear();
        // To signal processes of other users; to read the environment of any process, which is a
        // file of its user and guarded like tracing. Fewer do not see them all (tried one by one).
        spec.cap_add = ["KILL", "SYS_PTRACE", "DAC_READ_SEARCH"].map(str::to_owned).to_vec();
        // Else processes of a container without such a profile are out of reach.
        spec.security_opt.push("apparmor=unconfined".to_owned());
        for (key, value) in self.identity.filter() {
            spec.labels.insert(key.to_owned(), value.to_owned());
        }
        spec.labels.insert(labels::PARENT.to_owned(), self.run.to_string());
        spec.labels.insert(labels::ROLE.to_owned(), "signal".to_owned());
        // Text and numbers: these always have a JSON form.
        spec.env.0.insert(WISH.to_owned(), serde_json::to_string(wish).unwrap_or_default());
        spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::{Fake, Script};
    use crate::engine::{Created, Runs};

    fn identity() -> Identity {
        Identity { stack: "stack".to_owned(), instance: "i".to_owned(), generation: 1, parent: None }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_left_over_is_taken_away_first() {
        let (fake, identity) = (Fake::new(), identity());
        fake.image("tender");
        fake.service("stack", "web", "web-1");
        let run = RunId("0123456789ab".to_owned());
        let sender = Sender { identity: &identity, run: &run, image: "tender" };
        let wish = Wish::End { run: run.clone(), began: None, grace: Duration::from_secs(1) };
        assert_eq!(sender.name(), "tender-stack-signal-0123456789ab");
        fake.script("tender", Script::exits(0).takes(Duration::from_secs(3)));
        let Created::New(left) = fake.create(&sender.name(), &sender.spec("web-1", &wish)).await.unwrap() else {
            panic!("the name is taken")
        };
        fake.start(&left).await.unwrap();
        assert_eq!(sender.send(&fake, "web-1", &wish, &mut |_, _| {}).await.unwrap(), 0);
        assert_eq!(fake.names(), ["web-1"]);
        let foreign = ContainerSpec { image: "tender".to_owned(), ..ContainerSpec::default() };
        fake.create(&sender.name(), &foreign).await.unwrap();
        let refused = sender.send(&fake, "web-1", &wish, &mut |_, _| {}).await;
        assert!(matches!(refused, Err(EngineError::Conflict(_))), "{refused:?}");
    }

    #[test]
    fn it_may_do_what_it_needs_and_nothing_else() {
        let identity = identity();
        let run = RunId("r".to_owned());
        let sender = Sender { identity: &identity, run: &run, image: "tender" };
        let wish = Wish::Main { container: "c".to_owned(), signal: "HUP".to_owned() };
        let spec = sender.spec("c", &wish);
        assert_eq!((spec.networks.as_slice(), spec.pid.as_deref()), (&["none".to_owned()][..], Some("container:c")));
        assert_eq!((spec.cap_drop.as_slice(), spec.cap_add.len()), (&["ALL".to_owned()][..], 3));
        assert!(spec.read_only && spec.mounts.is_empty() && !spec.privileged);
        assert_eq!(serde_json::from_str::<Wish>(&spec.env.0[WISH]).unwrap(), wish);
        assert!(!spec.env.0.contains_key(MARKER), "it is none of the processes that it ends");
    }
}
