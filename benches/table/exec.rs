//! A trivial command in a running container, from the planned row to the record, beside the calls
//! that it takes: without a holder, and in one.

use std::path::Path;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use tender::config::Installation;
use tender::engine::docker::Docker;
use tender::engine::{Created, Runs};
use tender::job::{Action, ContainerSpec, ExecSpec, ExecTarget, Job, PullPolicy};
use tender::runner::container::hardened;
use tender::secret::Environment;

use crate::Bench;
use crate::house::{House, trivial};
use crate::proxy::Proxy;
use crate::run::{ours, timed};
use crate::samples::Samples;
use crate::stack::installation;
use crate::table::Row;

const DIRECT: &str = "exec of a trivial command without a holder, planned → record written";
const HELD: &str = "exec of a trivial command in its holder, planned → record written";
const BESIDE_RAW: &str = "≤ 1.05 × the three raw calls";
const BESIDE_RUN: &str = "≤ 1.05 × (one run + the three raw calls)";
const SOCKET: &str = "/var/run/docker.sock";

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let image = std::env::var("BENCH_IMAGE").unwrap_or_else(|_| "tender:latest".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let engine = Docker::connect_and_listen(Some(SOCKET))?;
    if let Err(error) = runtime.block_on(engine.ensure_image(&image, PullPolicy::Never)) {
        let why = format!("no image {image} (BENCH_IMAGE names another): {error}");
        return Ok(vec![Row::left_out(DIRECT, BESIDE_RAW, why)]);
    }
    let name = format!("tender-bench-exec-{}", tender::run::RunId::random());
    let target = runtime.block_on(target(&engine, &name, &image))?;
    let local = tokio::task::LocalSet::new();
    let measured = local.block_on(&runtime, alternate(bench, engine.clone(), &name, &image));
    runtime.block_on(engine.remove(&target))?;
    measured
}

/// A container that waits for commands.
async fn target(engine: &Docker, name: &str, image: &str) -> anyhow::Result<String> {
    let entrypoint = Some(["sleep", "3600"].map(str::to_owned).to_vec());
    let spec = ContainerSpec { entrypoint, ..hardened(&installation(image), &[]) };
    let Created::New(id) = engine.create(name, &spec).await? else { anyhow::bail!("{name} is taken") };
    engine.start(&id).await?;
    Ok(id)
}

async fn alternate(bench: &Bench, engine: Docker, target: &str, image: &str) -> anyhow::Result<Vec<Row>> {
    let jobs = [exec(target, image, true)?, exec(target, image, false)?, trivial("bench", image, "@manual")?];
    let (direct, held, run) = (&jobs[0..1], &jobs[1..2], &jobs[2..3]);
    let house = House::new()?;
    let mut runner = house.runner_of(engine, installation(image))?;
    let client =
        bollard::Docker::connect_with_unix(SOCKET, 120, bollard::API_DEFAULT_VERSION)?.negotiate_version().await?;
    // The first one also negotiates.
    ours(&house, &mut runner, direct).await?;
    let (mut directs, mut raws, mut helds, mut both) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        directs.push(timed(ours(&house, &mut runner, direct)).await?);
        raws.push(timed(raw(&client, target)).await?);
        helds.push(timed(ours(&house, &mut runner, held)).await?);
        both.push(timed(ours(&house, &mut runner, run)).await? + timed(raw(&client, target)).await?);
    }
    runner.stop().await;
    let direct_calls = counted(&house, direct, image).await?;
    let held_calls = counted(&house, held, image).await?;
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let calls = |name: &str, goal: &str, calls: Vec<String>| {
        Row::new(name, goal, Samples::new(vec![calls.len() as f64], "")).note(calls.join(", "))
    };
    Ok(vec![
        Row::new(DIRECT, BESIDE_RAW, Samples::new(directs, "ms")).beside("the raw calls", Samples::new(raws, "ms")),
        Row::new(HELD, BESIDE_RUN, Samples::new(helds, "ms"))
            .beside("one run + the raw calls", Samples::new(both, "ms")),
        calls("API calls of an exec without a holder", "3, no polling", direct_calls),
        calls("API calls of an exec in its holder", "those of a run + 3, no polling", held_calls),
    ])
}

/// What one more exec asks of the engine, the part of its holder included.
async fn counted(house: &House, jobs: &[Job], image: &str) -> anyhow::Result<Vec<String>> {
    let proxy = Proxy::before(Path::new(SOCKET))?;
    let engine = Docker::connect_and_listen(Some(&proxy.address()))?;
    let behind = Installation { socket: proxy.socket(), ..installation(image) };
    let mut runner = house.runner_of(engine, behind)?;
    ours(house, &mut runner, jobs).await?;
    proxy.taken();
    ours(house, &mut runner, jobs).await?;
    let calls = proxy.taken();
    runner.stop().await;
    Ok(calls)
}

/// The three calls and nothing else.
async fn raw(client: &bollard::Docker, target: &str) -> anyhow::Result<()> {
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(vec!["true"]),
        ..Default::default()
    };
    let exec = client.create_exec(target, options).await?.id;
    if let StartExecResults::Attached { mut output, .. } = client.start_exec(&exec, None).await? {
        while output.next().await.transpose()?.is_some() {}
    }
    let code = client.inspect_exec(&exec).await?.exit_code;
    anyhow::ensure!(code == Some(0), "it ended with {code:?}");
    Ok(())
}

fn exec(container: &str, image: &str, direct: bool) -> anyhow::Result<Job> {
    let spec = ExecSpec {
        target: ExecTarget::Container(container.to_owned()),
        command: vec!["true".to_owned()],
        env: Environment::default(),
        user: None,
        workdir: None,
        privileged: false,
        direct,
    };
    let name = if direct { "bench-direct" } else { "bench-held" };
    Ok(Job { action: Action::Exec(Box::new(spec)), ..trivial(name, image, "@manual")? })
}
