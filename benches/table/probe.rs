//! The configuration as the deployed scheduler reads it: in a throwaway container, beside the start
//! of the same container with nothing to do.

use std::time::Duration;

use tender::config::load;
use tender::engine::docker::Docker;
use tender::engine::{EngineError, Host};
use tender::job::ContainerSpec;
use tender::runner::container::hardened;
use tender::runner::probe::ContainerProbe;

use crate::Bench;
use crate::samples::{Samples, milliseconds, short};
use crate::stack::{Stack, installation};
use crate::table::Row;

const FULL: &str = "configuration probe, 100 jobs over 20 conf dirs";
const TARGET: &str = "≤ 300 ms more than its container's start";

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let image = std::env::var("BENCH_IMAGE").unwrap_or_else(|_| "tender:latest".to_owned());
    let engine = Docker::connect(std::env::var("DOCKER_HOST").ok().as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let start = || runtime.block_on(bare(&engine, &image));
    if let Err(error) = start() {
        let why = format!("no image {image} that runs (BENCH_IMAGE names another): {error}");
        return Ok(vec![Row::left_out(FULL, TARGET, why)]);
    }
    let (full, small) = (Stack::new(20, 5)?, Stack::new(0, 0)?);
    let probe = |stack: &Stack| -> anyhow::Result<()> {
        let installation = installation(&image);
        let probe = ContainerProbe::new(&engine, &installation, "bench");
        stack.check(&runtime.block_on(load(&probe, &stack.request(), &installation))?);
        Ok(())
    };
    let (mut starts, mut fulls, mut smalls) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        let (time, done) = milliseconds(start);
        done?;
        starts.push(time);
        let (time, done) = milliseconds(|| probe(&full));
        done?;
        fulls.push(time);
        let (time, done) = milliseconds(|| probe(&small));
        done?;
        smalls.push(time);
    }
    let row = |name: &str, target: &str, values: &[f64]| {
        let values = Samples::new(values.to_vec(), "ms");
        let starts = Samples::new(starts.clone(), "ms");
        let more = short(values.median() - starts.median());
        Row::new(name, target, values)
            .beside("start of the container with `true`", starts)
            .note(format!("{more} ms more"))
    };
    Ok(vec![row(FULL, TARGET, &fulls), row("configuration probe of a stack without conf dirs", "", &smalls)])
}

/// The start and end of a container that is limited as the probe's is.
async fn bare(engine: &Docker, image: &str) -> Result<(), EngineError> {
    let spec = ContainerSpec { entrypoint: Some(vec!["true".to_owned()]), ..hardened(&installation(image), &[]) };
    let name = format!("tender-bench-true-{}", tender::run::RunId::random());
    engine.attach_once(&name, &spec, Duration::from_secs(60), &mut |_, _| {}).await.map(|_| ())
}
