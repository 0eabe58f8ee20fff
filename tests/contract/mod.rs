//! What every engine must do, whichever it is.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use tender::engine::{Channel, Created, EngineError, Frame, Host, Life, Runs};
use tender::job::{ContainerSpec, ExecSpec, PullPolicy};

/// What a container is to do; each bench knows how to have it done.
#[derive(Debug, Clone, Copy)]
pub enum Program {
    /// Ends with a code.
    Exits(i64),
    /// Writes `one\n` and `three` (no newline) to stdout and `two\n` to stderr.
    Says,
    /// Writes one line of 40 000 bytes.
    LongLine,
    /// Writes `ready\n`, runs until it is stopped, then ends with 143.
    Stays,
    /// Writes `ready\n` and takes no notice of the stop signal.
    Deaf,
}

/// An engine and the means to have programs run on it.
pub trait Bench {
    type Engine: Host;
    fn engine(&self) -> &Self::Engine;
    /// A name that nobody else uses, and a spec of a container that does this. The label `bench`
    /// is the same for all containers of one bench and of no other.
    fn container(&self, program: Program) -> (String, ContainerSpec);
    /// A command for a container of this name: `out\n`, `err\n` on stderr, code 4.
    fn command(&self, name: &str) -> ExecSpec;
    /// The label of this bench.
    fn label(&self) -> (&'static str, String);
}

async fn created<B: Bench>(bench: &B, program: Program) -> (String, String) {
    let (name, spec) = bench.container(program);
    match bench.engine().create(&name, &spec).await.unwrap() {
        Created::New(id) => (name, id),
        Created::Taken(seen) => panic!("{name} is taken by {seen:?}"),
    }
}

async fn started<B: Bench>(bench: &B, program: Program) -> (String, String) {
    let (name, id) = created(bench, program).await;
    bench.engine().start(&id).await.unwrap();
    (name, id)
}

/// Started, and far enough that it reacts to a stop as it should.
async fn ready<B: Bench>(bench: &B, program: Program) -> (String, String) {
    let (name, id) = started(bench, program).await;
    let mut output = Box::pin(bench.engine().output(&id, 0));
    assert_eq!(output.next().await.unwrap().unwrap().bytes, b"ready\n");
    drop(output);
    (name, id)
}

async fn all<B: Bench>(bench: &B, id: &str, since_ns: i64) -> Vec<Frame> {
    bench.engine().output(id, since_ns).try_collect().await.unwrap()
}

fn text(frames: &[Frame], channel: Channel) -> Vec<u8> {
    frames.iter().filter(|f| f.channel == channel).flat_map(|f| f.bytes.clone()).collect()
}

pub async fn a_container_lives_and_goes<B: Bench>(bench: &B) {
    let engine = bench.engine();
    let (name, id) = created(bench, Program::Exits(3)).await;
    let seen = engine.look(&name).await.unwrap().unwrap();
    assert_eq!((seen.id.as_str(), seen.name.as_str(), seen.life), (id.as_str(), name.as_str(), Life::Created));
    assert_eq!((seen.exit_code, seen.started_at, seen.finished_at), (None, None, None));
    assert_eq!(seen.restart_policy, "no");
    engine.start(&id).await.unwrap();
    assert_eq!(engine.exit(&id).await.unwrap(), 3);
    let seen = engine.look(&id).await.unwrap().unwrap();
    assert_eq!((seen.life, seen.exit_code, seen.oom, seen.pid), (Life::Exited, Some(3), false, None));
    // Not in that order for certain: of one that ends at once the engine may note the end first.
    assert!(seen.started_at.is_some() && seen.finished_at.is_some());
    assert_eq!(engine.exit(&id).await.unwrap(), 3, "asked again after the end");
    engine.remove(&id).await.unwrap();
    engine.remove(&id).await.unwrap();
    assert_eq!(engine.look(&id).await.unwrap(), None);
    assert_eq!(engine.look(&name).await.unwrap(), None);
}

pub async fn exit_codes_are_no_errors<B: Bench>(bench: &B) {
    for code in [0, 1, 255] {
        let (_, id) = started(bench, Program::Exits(code)).await;
        assert_eq!(bench.engine().exit(&id).await.unwrap(), code);
    }
}

pub async fn a_name_belongs_to_one_container<B: Bench>(bench: &B) {
    let engine = bench.engine();
    let (name, id) = created(bench, Program::Exits(0)).await;
    let (_, spec) = bench.container(Program::Exits(1));
    for _ in 0..2 {
        match engine.create(&name, &spec).await.unwrap() {
            Created::Taken(seen) => assert_eq!(seen.id, id),
            Created::New(other) => panic!("{name} now belongs to {other} as well"),
        }
        engine.start(&id).await.unwrap();
        engine.exit(&id).await.unwrap();
    }
    engine.remove(&id).await.unwrap();
    assert!(matches!(engine.create(&name, &spec).await.unwrap(), Created::New(_)), "the name is free again");
}

pub async fn a_second_start_of_a_running_one_is_fine<B: Bench>(bench: &B) {
    let (_, id) = ready(bench, Program::Stays).await;
    let before = bench.engine().look(&id).await.unwrap().unwrap();
    bench.engine().start(&id).await.unwrap();
    assert_eq!(bench.engine().look(&id).await.unwrap().unwrap().started_at, before.started_at);
    assert_eq!(before.life, Life::Running);
    assert!(before.pid.is_some());
}

pub async fn what_is_not_there_is_not_found<B: Bench>(bench: &B) {
    let engine = bench.engine();
    let absent = "tender-no-such-container";
    let not_found = |r: Result<(), EngineError>| assert!(matches!(r, Err(EngineError::NotFound(_))), "{r:?}");
    not_found(engine.start(absent).await);
    not_found(engine.exit(absent).await.map(|_| ()));
    not_found(engine.stop(absent, Duration::ZERO).await);
    not_found(engine.tail(absent, 1).await.map(|_| ()));
    not_found(engine.exec(absent, &bench.command(absent), &mut |_, _| {}).await.map(|_| ()));
    not_found(engine.output(absent, 0).try_collect::<Vec<_>>().await.map(|_| ()));
    not_found(engine.ensure_image("tender-no-such-image:x", PullPolicy::Never).await.map(|_| ()));
    let (name, spec) = bench.container(Program::Exits(0));
    let spec = ContainerSpec { image: "tender-no-such-image:x".into(), ..spec };
    not_found(engine.create(&name, &spec).await.map(|_| ()));
    for odd in ["", "../info", "a/b", "a b", "a?b"] {
        assert_eq!(engine.look(odd).await.unwrap(), None, "{odd:?}");
    }
}

pub async fn both_streams_arrive_unchanged<B: Bench>(bench: &B) {
    let (_, id) = started(bench, Program::Says).await;
    let frames = all(bench, &id, 0).await;
    assert_eq!(text(&frames, Channel::Out), b"one\nthree");
    assert_eq!(text(&frames, Channel::Err), b"two\n");
    let seen = bench.engine().look(&id).await.unwrap().unwrap();
    let begin = seen.started_at.unwrap().timestamp() * 1_000_000_000;
    assert!(frames.iter().all(|f| f.time_ns >= begin), "{frames:?} before {begin}");
    assert_eq!(all(bench, &id, 0).await, frames, "the same again after the end");
}

pub async fn a_long_line_comes_in_pieces_of_one_time<B: Bench>(bench: &B) {
    let (_, id) = started(bench, Program::LongLine).await;
    let frames = all(bench, &id, 0).await;
    assert_eq!(frames.len(), 3, "{:?}", frames.iter().map(|f| f.bytes.len()).collect::<Vec<_>>());
    assert!(frames.iter().all(|f| f.bytes.len() <= 16 * 1024 && f.time_ns == frames[0].time_ns));
    let joined = text(&frames, Channel::Out);
    assert_eq!(joined.len(), 40_001);
    assert!(joined.starts_with(b"xxxx") && joined.ends_with(b"x\n"));
}

pub async fn since_is_inclusive_to_the_nanosecond<B: Bench>(bench: &B) {
    let (_, id) = started(bench, Program::Says).await;
    let frames = all(bench, &id, 0).await;
    let last = frames.iter().map(|f| f.time_ns).max().unwrap();
    let expected: Vec<Frame> = frames.iter().filter(|f| f.time_ns >= last).cloned().collect();
    assert!(expected.len() < frames.len());
    assert_eq!(all(bench, &id, last).await, expected);
    assert_eq!(all(bench, &id, last + 1).await, []);
}

pub async fn output_is_followed_to_the_end<B: Bench>(bench: &B) {
    let (_, id) = started(bench, Program::Stays).await;
    let mut output = Box::pin(bench.engine().output(&id, 0));
    assert_eq!(output.next().await.unwrap().unwrap().bytes, b"ready\n");
    bench.engine().stop(&id, Duration::from_secs(20)).await.unwrap();
    assert!(output.next().await.is_none());
    assert_eq!(bench.engine().exit(&id).await.unwrap(), 143);
}

pub async fn who_does_not_stop_is_killed<B: Bench>(bench: &B) {
    let (_, id) = ready(bench, Program::Deaf).await;
    bench.engine().stop(&id, Duration::from_secs(1)).await.unwrap();
    assert_eq!(bench.engine().exit(&id).await.unwrap(), 137);
    bench.engine().stop(&id, Duration::from_secs(1)).await.unwrap();
}

pub async fn a_running_one_is_removed<B: Bench>(bench: &B) {
    let (_, id) = ready(bench, Program::Deaf).await;
    bench.engine().remove(&id).await.unwrap();
    assert_eq!(bench.engine().look(&id).await.unwrap(), None);
}

pub async fn lists_go_by_labels<B: Bench>(bench: &B) {
    let (key, value) = bench.label();
    let list = async |labels: &[(&str, &str)]| {
        let mut ids = bench.engine().list(labels).await.unwrap();
        ids.sort();
        ids
    };
    let (_, one) = created(bench, Program::Exits(0)).await;
    let (name, spec) = bench.container(Program::Exits(0));
    let labels = [("tender.job".to_owned(), "a b".to_owned())].into_iter().chain(spec.labels.clone()).collect();
    let Created::New(two) = bench.engine().create(&name, &ContainerSpec { labels, ..spec }).await.unwrap() else {
        panic!("{name} is taken");
    };
    let mut both = [one, two.clone()];
    both.sort();
    assert_eq!(list(&[(key, &value)]).await, both);
    assert_eq!(list(&[(key, &value), ("tender.job", "a b")]).await, std::slice::from_ref(&two));
    assert_eq!(list(&[(key, &value), ("tender.job", "")]).await, [two]);
    assert_eq!(list(&[(key, &value), ("tender.job", "a")]).await, [""; 0]);
}

pub async fn a_one_shot_leaves_nothing<B: Bench>(bench: &B) {
    let engine = bench.engine();
    let (name, spec) = bench.container(Program::Says);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut sink = |channel, bytes: &[u8]| match channel {
        Channel::Out => out.extend_from_slice(bytes),
        Channel::Err => err.extend_from_slice(bytes),
    };
    let code = engine.attach_once(&name, &spec, Duration::from_secs(60), &mut sink).await.unwrap();
    assert_eq!((code, out.as_slice(), err.as_slice()), (0, &b"one\nthree"[..], &b"two\n"[..]));
    assert_eq!(engine.look(&name).await.unwrap(), None);
    let (name, spec) = bench.container(Program::Exits(7));
    assert_eq!(engine.attach_once(&name, &spec, Duration::from_secs(60), &mut |_, _| {}).await.unwrap(), 7);
    let (name, spec) = bench.container(Program::Deaf);
    let late = engine.attach_once(&name, &spec, Duration::from_secs(2), &mut |_, _| {}).await;
    assert!(matches!(&late, Err(EngineError::Other(why)) if why.contains(&name)), "{late:?}");
    assert_eq!(engine.look(&name).await.unwrap(), None);
}

pub async fn a_one_shot_takes_no_name_of_others<B: Bench>(bench: &B) {
    let (name, id) = created(bench, Program::Exits(0)).await;
    let (_, spec) = bench.container(Program::Says);
    let refused = bench.engine().attach_once(&name, &spec, Duration::from_secs(60), &mut |_, _| {}).await;
    assert!(matches!(refused, Err(EngineError::Conflict(_))), "{refused:?}");
    assert_eq!(bench.engine().look(&name).await.unwrap().unwrap().id, id);
}

pub async fn commands_run_inside<B: Bench>(bench: &B) {
    let engine = bench.engine();
    let (name, id) = ready(bench, Program::Stays).await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut sink = |channel, bytes: &[u8]| match channel {
        Channel::Out => out.extend_from_slice(bytes),
        Channel::Err => err.extend_from_slice(bytes),
    };
    assert_eq!(engine.exec(&id, &bench.command(&name), &mut sink).await.unwrap(), 4);
    assert_eq!((out.as_slice(), err.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    engine.stop(&id, Duration::from_secs(20)).await.unwrap();
    let refused = engine.exec(&id, &bench.command(&name), &mut |_, _| {}).await;
    assert!(matches!(refused, Err(EngineError::Conflict(_))), "{refused:?}");
}

pub async fn names_can_change<B: Bench>(bench: &B) {
    let engine = bench.engine();
    let (one, id) = created(bench, Program::Exits(0)).await;
    let (two, _) = created(bench, Program::Exits(0)).await;
    let (free, _) = bench.container(Program::Exits(0));
    let refused = engine.rename(&id, &two).await;
    assert!(matches!(refused, Err(EngineError::Conflict(_))), "{refused:?}");
    engine.rename(&id, &free).await.unwrap();
    assert_eq!(engine.look(&free).await.unwrap().unwrap().id, id);
    assert_eq!(engine.look(&one).await.unwrap(), None);
}

pub async fn images_have_names<B: Bench>(bench: &B) {
    let engine = bench.engine();
    let (name, spec) = bench.container(Program::Exits(0));
    let id = engine.ensure_image(&spec.image, PullPolicy::Missing).await.unwrap().id;
    let further = format!("{name}/web:1");
    engine.image_tag(&spec.image, &further).await.unwrap();
    assert_eq!(engine.image_id(&further).await.unwrap(), Some(id));
    assert_eq!(engine.image_names(&format!("{name}/")).await.unwrap(), std::slice::from_ref(&further));
    engine.image_untag(&further).await.unwrap();
    engine.image_untag(&further).await.unwrap();
    assert_eq!(engine.image_id(&further).await.unwrap(), None);
    assert!(engine.image_id(&spec.image).await.unwrap().is_some());
}

pub async fn a_project_is_seen_whole<B: Bench>(bench: &B) {
    let (name, spec) = bench.container(Program::Exits(0));
    let project = name.clone();
    let labels = [("com.docker.compose.project".to_owned(), project.clone())].into_iter().chain(spec.labels.clone());
    let spec = ContainerSpec { labels: labels.collect(), ..spec };
    bench.engine().create(&name, &spec).await.unwrap();
    created(bench, Program::Exits(0)).await;
    let seen = bench.engine().project(&project).await.unwrap();
    assert_eq!(seen.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), [name]);
    assert_eq!(bench.engine().project_volumes(&project).await.unwrap(), [""; 0]);
}

pub async fn the_tail_is_for_people<B: Bench>(bench: &B) {
    let (_, id) = started(bench, Program::Stays).await;
    bench.engine().stop(&id, Duration::from_secs(20)).await.unwrap();
    let (_, says) = started(bench, Program::Says).await;
    bench.engine().exit(&says).await.unwrap();
    assert_eq!(bench.engine().tail(&says, 50).await.unwrap().lines().count(), 3);
    assert_eq!(bench.engine().tail(&says, 1).await.unwrap().lines().count(), 1);
}

pub async fn the_engine_says_who_it_is<B: Bench>(bench: &B) {
    let info = bench.engine().info().await.unwrap();
    assert!(!info.id.is_empty() && !info.version.is_empty() && info.data_root.is_absolute(), "{info:?}");
    assert_eq!(bench.engine().info().await.unwrap(), info);
}

/// One test per clause, each on a bench of its own.
#[macro_export]
macro_rules! contract {
    (@each $bench:expr, $attribute:tt, $($clause:ident)*) => {
        $($crate::contract!(@one $bench, $attribute, $clause);)*
    };
    (@one $bench:expr, { $($attribute:tt)* }, $clause:ident) => {
        $($attribute)*
        async fn $clause() {
            contract::$clause(&$bench).await;
        }
    };
    ($bench:expr, $($attribute:tt)*) => {
        $crate::contract!(@each $bench, { $($attribute)* },
            a_container_lives_and_goes exit_codes_are_no_errors a_name_belongs_to_one_container
            a_second_start_of_a_running_one_is_fine what_is_not_there_is_not_found
            both_streams_arrive_unchanged a_long_line_comes_in_pieces_of_one_time
            since_is_inclusive_to_the_nanosecond output_is_followed_to_the_end who_does_not_stop_is_killed
            a_running_one_is_removed lists_go_by_labels a_one_shot_leaves_nothing
            a_one_shot_takes_no_name_of_others commands_run_inside names_can_change images_have_names
            a_project_is_seen_whole the_tail_is_for_people the_engine_says_who_it_is
        );
    };
}
