//! A trivial command in a running container, beside the calls that it takes.

use std::path::Path;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use tender::engine::docker::Docker;
use tender::engine::{Created, Host, Runs};
use tender::job::{ContainerSpec, ExecSpec, ExecTarget};
use tender::runner::container::hardened;
use tender::secret::Environment;

use crate::Bench;
use crate::proxy::Proxy;
use crate::samples::Samples;
use crate::stack::installation;
use crate::table::Row;

const FIGURE: &str = "exec of a trivial command, through the engine's seam";
const TARGET: &str = "≤ 1.05 × the raw calls, 3 of them";
const SOCKET: &str = "/var/run/docker.sock";

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let image = std::env::var("BENCH_IMAGE").unwrap_or_else(|_| "tender:latest".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let engine = Docker::connect(Some(SOCKET))?;
    if let Err(error) = runtime.block_on(engine.ensure_image(&image, tender::job::PullPolicy::Never)) {
        return Ok(vec![Row::left_out(
            FIGURE,
            TARGET,
            format!("no image {image} (BENCH_IMAGE names another): {error}"),
        )]);
    }
    let name = format!("tender-bench-exec-{}", tender::run::RunId::random());
    let target = runtime.block_on(target(&engine, &name, &image))?;
    let measured = runtime.block_on(alternate(bench, &engine, &target));
    runtime.block_on(engine.remove(&target))?;
    Ok(vec![measured?])
}

/// A container that waits for commands.
async fn target(engine: &Docker, name: &str, image: &str) -> anyhow::Result<String> {
    let entrypoint = Some(["sleep", "3600"].map(str::to_owned).to_vec());
    let spec = ContainerSpec { entrypoint, ..hardened(&installation(image), &[]) };
    let Created::New(id) = engine.create(name, &spec).await? else { anyhow::bail!("{name} is taken") };
    engine.start(&id).await?;
    Ok(id)
}

async fn alternate(bench: &Bench, engine: &Docker, target: &str) -> anyhow::Result<Row> {
    let spec = trivial(target);
    let client =
        bollard::Docker::connect_with_unix(SOCKET, 120, bollard::API_DEFAULT_VERSION)?.negotiate_version().await?;
    let proxy = Proxy::before(Path::new(SOCKET))?;
    let counted = Docker::connect(Some(&proxy.address()))?;
    counted.exec(target, &spec, &mut |_, _| {}).await?;
    proxy.taken();
    counted.exec(target, &spec, &mut |_, _| {}).await?;
    let calls = proxy.taken();
    let (mut ours, mut raws) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        let begun = std::time::Instant::now();
        engine.exec(target, &spec, &mut |_, _| {}).await?;
        ours.push(begun.elapsed().as_secs_f64() * 1000.0);
        let begun = std::time::Instant::now();
        raw(&client, target).await?;
        raws.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(Row::new(FIGURE, TARGET, Samples::new(ours, "ms"))
        .beside("the raw calls", Samples::new(raws, "ms"))
        .note(format!("{} calls: {}", calls.len(), calls.join(", "))))
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

fn trivial(container: &str) -> ExecSpec {
    ExecSpec {
        target: ExecTarget::Container(container.to_owned()),
        command: vec!["true".to_owned()],
        env: Environment::default(),
        user: None,
        workdir: None,
        privileged: false,
        direct: false,
    }
}
