//! A trivial container, from the planned row to the record, beside the calls that it takes and
//! beside `docker run --rm`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{LogsOptions, RemoveContainerOptions};
use chrono::Utc;
use futures_util::StreamExt;
use tender::engine::docker::Docker;
use tender::engine::{Host, Runs};
use tender::job::{Job, PullPolicy};
use tender::runner::{Event, Runner};

use crate::Bench;
use crate::house::{House, trivial};
use crate::proxy::Proxy;
use crate::samples::Samples;
use crate::table::Row;

const FIGURE: &str = "run of a trivial container, planned → record written";
const BESIDE_RAW: &str = "≤ 1.03 × the same five raw calls";
const BESIDE_DOCKER: &str = "≤ 0.6 × docker run --rm";
const SOCKET: &str = "/var/run/docker.sock";

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let image = std::env::var("BENCH_IMAGE").unwrap_or_else(|_| "tender:latest".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let engine = Docker::connect_and_listen(Some(SOCKET))?;
    if let Err(error) = runtime.block_on(engine.ensure_image(&image, PullPolicy::Never)) {
        let why = format!("no image {image} (BENCH_IMAGE names another): {error}");
        return Ok(vec![Row::left_out(FIGURE, BESIDE_RAW, why)]);
    }
    tokio::task::LocalSet::new().block_on(&runtime, alternate(bench, engine, &image))
}

async fn alternate(bench: &Bench, engine: Docker, image: &str) -> anyhow::Result<Vec<Row>> {
    let jobs = [trivial("bench", image, "@manual")?];
    let house = House::new()?;
    let mut runner = house.runner(engine)?;
    let client =
        bollard::Docker::connect_with_unix(SOCKET, 120, bollard::API_DEFAULT_VERSION)?.negotiate_version().await?;
    // The first one also negotiates, and begins to listen.
    ours(&house, &mut runner, &jobs).await?;
    let (mut our, mut raws, mut dockers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        our.push(timed(ours(&house, &mut runner, &jobs)).await?);
        raws.push(timed(raw(&client, image)).await?);
        dockers.push(timed(async { docker(image) }).await?);
    }
    runner.stop().await;
    let calls = counted(&house, &jobs).await?;
    let our = Samples::new(our, "ms");
    Ok(vec![
        Row::new(FIGURE, BESIDE_RAW, our.clone()).beside("the raw calls", Samples::new(raws, "ms")),
        Row::new(FIGURE, BESIDE_DOCKER, our).beside("docker run --rm", Samples::new(dockers, "ms")),
        Row::new("API calls of a run, image present", "5, no polling", Samples::new(vec![calls.len() as f64], ""))
            .note(calls.join(", ")),
    ])
}

pub(crate) async fn timed(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<f64> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

pub(crate) async fn ours<E: Host + 'static>(house: &House, runner: &mut Runner<E>, jobs: &[Job]) -> anyhow::Result<()> {
    let (env, trigger) = (tender::secret::Environment::default(), tender::run::Trigger::Manual);
    let row = house.store.plan_manual(jobs[0].name.clone(), env, trigger, Utc::now()).await?;
    runner.enqueue(vec![row]);
    loop {
        runner.pump(jobs, Utc::now()).await?;
        if let Event::Ended(record) = runner.next_event().await {
            anyhow::ensure!(record.outcome().is_some_and(|o| o.is_success()), "it ended as {:?}", record.outcome());
            return Ok(());
        }
    }
}

/// The calls of one run, at the socket.
async fn counted(house: &House, jobs: &[Job]) -> anyhow::Result<Vec<String>> {
    let proxy = Proxy::before(Path::new(SOCKET))?;
    let mut runner = house.runner(Docker::connect_and_listen(Some(&proxy.address()))?)?;
    ours(house, &mut runner, jobs).await?;
    proxy.taken();
    ours(house, &mut runner, jobs).await?;
    let calls = proxy.taken();
    runner.stop().await;
    Ok(calls)
}

/// The five calls and nothing else.
async fn raw(client: &bollard::Docker, image: &str) -> anyhow::Result<()> {
    let host_config = Some(HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() });
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["true".to_owned()]),
        host_config,
        ..ContainerCreateBody::default()
    };
    let id = client.create_container(None, body).await?.id;
    client.start_container(&id, None).await?;
    let logs = LogsOptions { follow: true, stdout: true, stderr: true, timestamps: true, ..LogsOptions::default() };
    let mut output = client.logs(&id, Some(logs));
    while output.next().await.transpose()?.is_some() {}
    let state = client.inspect_container(&id, None).await?.state;
    let code = state.and_then(|state| state.exit_code);
    anyhow::ensure!(code == Some(0), "it ended with {code:?}");
    let options = RemoveContainerOptions { v: true, force: true, ..RemoveContainerOptions::default() };
    Ok(client.remove_container(&id, Some(options)).await?)
}

fn docker(image: &str) -> anyhow::Result<()> {
    let run = ["run", "--rm", "--network", "none", "--entrypoint", "true", image];
    let status = Command::new("docker").args(run).stdout(Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "docker run: {status}");
    Ok(())
}
