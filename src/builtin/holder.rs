//! The body of an exec job: a throwaway container that runs a command in a running one.
//!
//! A bare exec cannot be adopted: after its client has died the engine neither keeps its output nor
//! knows its code. This process is that client, and its own container is followed and adopted.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::engine::{Channel, EXEC_CUT_OFF, EngineError, Host};
use crate::job::ExecSpec;
use crate::run::RunId;
use crate::runner::labels::Identity;
use crate::runner::signal::{Began, MARKER, Sender, Wish};
use crate::runner::target::{self, NoTarget, Target};
use crate::runner::word::{LastWord, NO_END};

/// Exit code of a command that was stopped.
const STOPPED: i64 = 143;

/// How long the end of a killed command is waited for.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// Between two looks at what became of a connection that broke off.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where output goes.
type Sink<'a> = &'a mut dyn FnMut(Channel, &[u8]);

/// A holder: which run it works for, and how it ends what it began.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Whose containers these are.
    pub identity: Identity,
    /// The run.
    pub run: RunId,
    /// Image of Tender itself, for signals.
    pub image: String,
    /// Time between the stop signal and the kill.
    pub grace: Duration,
}

/// Runs the command as the body of this process: its output goes to standard output and error, a
/// SIGTERM is handed on. Gives the exit code; where that says too little, a last word is said.
///
/// # Errors
/// When the output cannot be passed on.
pub async fn run(host: &impl Host, holder: &Holder, spec: &ExecSpec) -> Result<i64> {
    let mut term = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let stop = async {
        term.recv().await;
    };
    let mut broken = None;
    let line_is_open = Cell::new(false);
    let mut write = |channel: Channel, bytes: &[u8]| {
        let done = match channel {
            Channel::Out => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
            Channel::Err => {
                line_is_open.set(bytes.last().is_some_and(|last| *last != b'\n'));
                std::io::stderr().write_all(bytes)
            }
        };
        broken = broken.take().or(done.err());
    };
    let ended = holder.run(host, spec, stop, &mut write).await;
    let word = match &ended {
        Ok(code) => LastWord::of(*code),
        Err(word) => Some(word.clone()),
    };
    if let Some(word) = word {
        let before = if line_is_open.get() { "\n" } else { "" };
        write(Channel::Err, format!("{before}{word}\n").as_bytes());
    }
    match broken {
        Some(error) => Err(error).context("failed to pass on the output"),
        None => Ok(ended.unwrap_or(NO_END)),
    }
}

impl Holder {
    /// Runs the command in each target and hands its output to `out`; the first code that is not 0
    /// counts. When `stop` is there, the command and all that came of it is told to end, and killed
    /// after the grace: 143.
    ///
    /// # Errors
    /// A word about a command that did not end by itself: it never began, or nobody knows.
    pub async fn run(
        &self,
        host: &impl Host,
        spec: &ExecSpec,
        stop: impl Future<Output = ()>,
        out: Sink<'_>,
    ) -> Result<i64, LastWord> {
        let mut spec = spec.clone();
        spec.env.0.insert(MARKER.to_owned(), self.run.to_string());
        let mut stop = std::pin::pin!(stop);
        let prepared = tokio::select! {
            biased;
            () = &mut stop => return Ok(STOPPED),
            prepared = self.prepared(host, &spec) => prepared.map_err(not_started)?,
        };
        let out = RefCell::new(out);
        let mut first = 0;
        for (at, (target, exec)) in prepared.into_iter().enumerate() {
            let began = Began::now();
            let mut command = std::pin::pin!(attend(host, &target, &exec, at == 0, &out));
            let ended = tokio::select! {
                biased;
                () = &mut stop => {
                    self.end(host, &target, began, command, &out).await;
                    return Ok(STOPPED);
                }
                ended = &mut command => ended,
            };
            let code = ended?;
            if first == 0 {
                first = code;
            }
        }
        Ok(first)
    }

    /// Finds the targets and prepares the command in each. An engine that cannot be reached is
    /// waited for: nothing has begun.
    async fn prepared(&self, host: &impl Host, spec: &ExecSpec) -> Result<Vec<(Target, String)>, NoTarget> {
        loop {
            let prepare = async {
                let targets = target::find(host, &self.identity.stack, &spec.target).await?;
                target::prepare(host, targets, spec).await
            };
            match prepare.await {
                Err(NoTarget::Engine(EngineError::Unavailable(_))) => tokio::time::sleep(LOOK_AGAIN).await,
                answer => return answer,
            }
        }
    }

    /// Ends the command and all processes that came of it, with its output passed on meanwhile.
    async fn end(
        &self,
        host: &impl Host,
        target: &Target,
        began: Option<Began>,
        mut command: impl Future<Output = Result<i64, LastWord>> + Unpin,
        out: &RefCell<Sink<'_>>,
    ) {
        let sender = Sender { identity: &self.identity, run: &self.run, image: &self.image };
        let wish = Wish::End { run: self.run.clone(), began, grace: self.grace };
        let mut report = |_: Channel, bytes: &[u8]| (out.borrow_mut())(Channel::Err, bytes);
        let (mut ended, sent) = {
            let mut sent = std::pin::pin!(sender.send(host, &target.id, &wish, &mut report));
            let mut ended = false;
            loop {
                tokio::select! {
                    answer = &mut sent => break (ended, answer),
                    _ = &mut command, if !ended => ended = true,
                }
            }
        };
        if let Err(error) = sent {
            report(Channel::Err, format!("tender: the processes cannot be signalled: {error}\n").as_bytes());
        }
        ended = ended || tokio::time::timeout(AFTER_KILL, command).await.is_ok();
        if !ended {
            report(Channel::Err, format!("tender: something of the command goes on in {}\n", target.name).as_bytes());
        }
    }
}

fn not_started(why: NoTarget) -> LastWord {
    LastWord::NotStarted(why.to_string())
}

/// Starts a command and follows it to its end, past a connection that breaks off. After the first
/// target nothing is refused any more: a further attempt would repeat what was done before.
async fn attend(
    host: &impl Host,
    target: &Target,
    exec: &str,
    first: bool,
    out: &RefCell<Sink<'_>>,
) -> Result<i64, LastWord> {
    let mut sink = |channel: Channel, bytes: &[u8]| (out.borrow_mut())(channel, bytes);
    let why = match host.exec_start(exec, &mut sink).await {
        Ok(code) => return Ok(code),
        Err(error @ (EngineError::Unavailable(_) | EngineError::Protocol(_))) => error,
        Err(refused) => {
            let why = target::refused(target, refused).to_string();
            let word =
                if first { LastWord::NotStarted(why) } else { LastWord::Lost(format!("only some have run it: {why}")) };
            return Err(word);
        }
    };
    let said = format!("tender: output may be missing: {why}\n");
    (out.borrow_mut())(Channel::Err, said.as_bytes());
    match end_after_break(host, exec).await {
        Some(code) => Ok(code),
        None => Err(LastWord::Lost(format!("{why}; the command may go on in {}", target.name))),
    }
}

/// How a command ended whose connection broke off; `None` when nobody can know. An engine that
/// crashed is waited for: as it begins it stops this container, and tells so by that.
async fn end_after_break(host: &impl Host, exec: &str) -> Option<i64> {
    loop {
        match host.exec_look(exec).await {
            Ok(Some(EXEC_CUT_OFF)) => return None,
            Ok(Some(code)) => return Some(code),
            Ok(None) | Err(EngineError::Unavailable(_)) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::{Fake, Gate, Script};
    use crate::job::ExecTarget;

    fn spec(target: ExecTarget) -> ExecSpec {
        ExecSpec {
            target,
            command: vec!["work".to_owned()],
            env: crate::secret::Environment::default(),
            user: None,
            workdir: None,
            privileged: false,
            direct: false,
        }
    }

    fn holder() -> Holder {
        let identity = Identity { stack: "stack".to_owned(), instance: "i".to_owned(), generation: 0, parent: None };
        let run = RunId("0123456789ab".to_owned());
        Holder { identity, run, image: "tender".to_owned(), grace: Duration::from_secs(10) }
    }

    async fn ran(fake: &Fake, target: ExecTarget) -> (Result<i64, LastWord>, String) {
        let mut said = Vec::new();
        let mut out = |_: Channel, bytes: &[u8]| said.extend_from_slice(bytes);
        let code = holder().run(fake, &spec(target), std::future::pending(), &mut out).await;
        (code, String::from_utf8(said).unwrap())
    }

    fn service(name: &str) -> ExecTarget {
        ExecTarget::Service(name.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_is_marked_and_its_code_counts() {
        let fake = Fake::new();
        fake.service("stack", "web", "web-1");
        fake.script_exec("web-1", Script::exits(7).out("done\n").err("oh\n"));
        let (code, said) = ran(&fake, service("web")).await;
        assert_eq!((code.unwrap(), said.as_str()), (7, "done\noh\n"));
        assert_eq!(fake.execs()[0].env.0[MARKER], "0123456789ab");
    }

    #[tokio::test(start_paused = true)]
    async fn a_project_is_served_whole_and_the_first_failure_counts() {
        let fake = Fake::new();
        fake.service("old", "web", "web-1");
        fake.service("old", "web", "web-2");
        fake.service("old", "db", "db-1");
        fake.script_exec("web-1", Script::exits(3));
        let target = ExecTarget::Project { project: "old".to_owned(), service: "web".to_owned() };
        assert_eq!(ran(&fake, target).await.0.unwrap(), 3);
        assert_eq!(fake.calls_of("exec_create"), ["web-1 work", "web-2 work"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_did_not_end_by_itself_is_told() {
        let fake = Fake::new();
        fake.service("stack", "web", "web-1");
        fake.fail_next("exec_start", EngineError::Other("no such program".to_owned()));
        assert_eq!(ran(&fake, service("web")).await.0, Err(LastWord::NotStarted("no such program".to_owned())));
        fake.edit("web-1", |seen| seen.life = crate::engine::Life::Exited);
        for (target, words) in [(service("web"), "up -d web"), (ExecTarget::Container("x".to_owned()), "container x")] {
            let word = ran(&fake, target).await.0.unwrap_err();
            assert!(matches!(&word, LastWord::NotStarted(why) if why.contains(words)), "{word}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_breaks_off_is_not_the_end_of_the_command() {
        let not_found = || EngineError::NotFound("no such exec".to_owned());
        for (looks, refusal, code) in [
            (vec![None, None, Some(5)], None, Some(5)),
            (vec![Some(0)], Some(EngineError::Unavailable("away".to_owned())), Some(0)),
            (vec![None, Some(EXEC_CUT_OFF)], None, None),
            (vec![], Some(not_found()), None),
        ] {
            let fake = Fake::new();
            fake.service("stack", "web", "web-1");
            fake.script_exec("web-1", Script::default().out("begun\n").stays());
            fake.exec_looks(&looks);
            let mut said = Vec::new();
            let mut out = |_: Channel, bytes: &[u8]| said.extend_from_slice(bytes);
            let (holder, spec) = (holder(), spec(service("web")));
            let away = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                fake.set_reachable(false);
                tokio::time::sleep(Duration::from_secs(30)).await;
                assert_eq!(fake.calls_of("exec_start").len(), 1);
                if let Some(error) = refusal {
                    fake.fail_next("exec_look", error);
                }
                fake.set_reachable(true);
            };
            let (ended, ()) = tokio::join!(holder.run(&fake, &spec, std::future::pending(), &mut out), away);
            match code {
                Some(code) => assert_eq!(ended.unwrap(), code),
                None => {
                    let word = ended.unwrap_err();
                    assert!(matches!(&word, LastWord::Lost(why) if why.contains("may go on in web-1")), "{word}");
                }
            }
            let said = String::from_utf8(said).unwrap();
            assert!(said.starts_with("begun\ntender: output may be missing: "), "{said}");
            assert_eq!(fake.calls_of("exec_start").len(), 1, "it is never begun again");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_crashed_ends_its_holder() {
        let fake = Fake::new();
        fake.service("stack", "web", "web-1");
        fake.script_exec("web-1", Script::forever());
        let (holder, spec) = (holder(), spec(service("web")));
        let mut out = |_: Channel, _: &[u8]| {};
        let stop = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            fake.set_reachable(false);
            // The next engine stops what still runs before it answers anybody.
            tokio::time::sleep(Duration::from_secs(600)).await;
        };
        let begin = tokio::time::Instant::now();
        assert_eq!(holder.run(&fake, &spec, stop, &mut out).await.unwrap(), STOPPED);
        assert!(begin.elapsed() >= Duration::from_secs(601), "it ended before: {:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_is_away_before_the_command_is_waited_for() {
        let fake = Fake::new();
        fake.service("stack", "web", "web-1");
        fake.script_exec("web-1", Script::exits(7));
        for call in ["project", "exec_create"] {
            fake.fail_next(call, EngineError::Unavailable("away".to_owned()));
        }
        assert_eq!(ran(&fake, service("web")).await.0.unwrap(), 7);
        assert_eq!(fake.calls_of("exec_start").len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_after_the_first_target_is_none() {
        let (fake, gate) = (Fake::new(), Gate::new());
        fake.service("old", "web", "web-1");
        fake.service("old", "web", "web-2");
        fake.script_exec("web-1", Script::exits(0).waits(&gate));
        let target = ExecTarget::Project { project: "old".to_owned(), service: "web".to_owned() };
        let refused = async {
            while fake.calls_of("exec_start").is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            fake.fail_next("exec_start", EngineError::Conflict("web-2 is not running".to_owned()));
            gate.open();
        };
        let ((ended, _), ()) = tokio::join!(ran(&fake, target), refused);
        assert!(matches!(&ended, Err(LastWord::Lost(why)) if why.contains("web-2")), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_is_sent_inside_and_waits_for_the_command_but_not_for_ever() {
        for obeys in [true, false] {
            let (fake, gate) = (Fake::new(), Gate::new());
            fake.image("tender");
            fake.service("stack", "web", "web-1");
            fake.script_exec("web-1", Script::default().out("begun\n").waits(&gate).out("cleaned\n"));
            fake.script("tender", Script::exits(0).takes(Duration::from_secs(2)).err("told\n"));
            let mut said = Vec::new();
            let mut out = |_: Channel, bytes: &[u8]| said.extend_from_slice(bytes);
            let begin = tokio::time::Instant::now();
            let stop = tokio::time::sleep(Duration::from_secs(1));
            let (holder, spec) = (holder(), spec(service("web")));
            let ended = holder.run(&fake, &spec, stop, &mut out);
            let signalled = async {
                while fake.calls_of("attach_once").is_empty() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                let wish = fake.spec(&fake.names()[1]).unwrap();
                assert_eq!(wish.pid, fake.spec("web-1").map(|_| format!("container:{:012x}{:052x}", 1, 0)));
                if obeys {
                    gate.open();
                }
            };
            assert_eq!(tokio::join!(ended, signalled).0.unwrap(), STOPPED);
            let said = String::from_utf8(said).unwrap();
            assert_eq!(said.contains("cleaned\n"), obeys, "{said}");
            assert_eq!(said.contains("goes on in web-1"), !obeys, "{said}");
            assert!(said.contains("told\n"), "{said}");
            let after = if obeys { Duration::ZERO } else { AFTER_KILL };
            assert_eq!(begin.elapsed(), Duration::from_secs(3) + after);
            assert_eq!(fake.names(), ["web-1"], "it leaves nothing");
        }
    }
}
