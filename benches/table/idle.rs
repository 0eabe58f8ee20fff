//! A scheduler with nothing to do: its memory and its share of a processor, in the container that is
//! deployed.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::Bench;
use crate::samples::Samples;
use crate::stack::Stack;
use crate::table::Row;

const ANONYMOUS: &str = "idle: anonymous memory, 100 jobs";
const RESIDENT: &str = "idle: resident memory, 100 jobs";
const SHARE: &str = "idle: share of a core, 100 jobs";
const TARGETS: [&str; 3] = ["≤ 4 MB", "≤ 16 MB", "≤ 0.1 %"];

/// The kernel counts time in hundredths of a second.
const TICKS: f64 = 100.0;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let image = std::env::var("BENCH_IMAGE").unwrap_or_else(|_| "tender:latest".to_owned());
    let stack = Stack::new(20, 5)?;
    let scheduler = match Scheduler::start(&image, &stack) {
        Ok(scheduler) => scheduler,
        Err(error) => {
            let why = format!("no scheduler of image {image} (BENCH_IMAGE names another): {error:#}");
            let rows = [ANONYMOUS, RESIDENT, SHARE].into_iter().zip(TARGETS);
            return Ok(rows.map(|(name, target)| Row::left_out(name, target, &why)).collect());
        }
    };
    // Long enough for a tick to be a small share of it.
    let window = Duration::from_secs(if bench.runs > 1 { 10 } else { 1 });
    let (mut anonymous, mut resident, mut share) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        let before = scheduler.ticks()?;
        std::thread::sleep(window);
        share.push((scheduler.ticks()? - before) / TICKS / window.as_secs_f64() * 100.0);
        anonymous.push(scheduler.memory("Anonymous:")?);
        resident.push(scheduler.memory("Rss:")?);
    }
    let row = |name: &str, target: &str, values: Vec<f64>, unit| Row::new(name, target, Samples::new(values, unit));
    Ok(vec![
        row(ANONYMOUS, TARGETS[0], anonymous, "MB"),
        row(RESIDENT, TARGETS[1], resident, "MB"),
        row(SHARE, TARGETS[2], share, "%"),
    ])
}

/// A scheduler in its container, gone when dropped.
struct Scheduler {
    name: String,
    pid: u32,
}

impl Scheduler {
    fn start(image: &str, stack: &Stack) -> Result<Self> {
        let name = format!("tender-bench-idle-{}", tender::run::RunId::random());
        let dir = stack.dir().to_str().context("the stack lies at a path that is no text")?;
        let volume = format!("{name}:/var/lib/tender");
        let mount = format!("{dir}:{dir}");
        let compose_dir = format!("COMPOSE_DIR={dir}");
        let socket = "/var/run/docker.sock:/var/run/docker.sock";
        let mut arguments = vec!["run", "--detach", "--name", &name, "--env", &compose_dir];
        for volume in [&volume, &mount, socket] {
            arguments.extend(["--volume", volume]);
        }
        arguments.push(image);
        docker(&arguments)?;
        let mut scheduler = Self { name, pid: 0 };
        for _ in 0..600 {
            let said = docker(&["logs", &scheduler.name])?;
            if said.contains("armed") {
                scheduler.pid = scheduler.find()?;
                return Ok(scheduler);
            }
            ensure!(
                docker(&["inspect", "--format", "{{.State.Running}}", &scheduler.name])?.trim() == "true",
                "{said}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("it is not armed after a minute: {}", docker(&["logs", &scheduler.name])?)
    }

    /// The process of the scheduler, not of its init.
    fn find(&self) -> Result<u32> {
        let all = docker(&["top", &self.name, "-o", "pid,comm"])?;
        let line = all.lines().find(|line| line.ends_with("tender")).context("there is no such process")?;
        Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
    }

    /// Memory of one kind, in MB.
    fn memory(&self, kind: &str) -> Result<f64> {
        let all = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?;
        let line = all.lines().find_map(|line| line.strip_prefix(kind)).context("the kernel does not tell")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1000.0)
    }

    /// Time that it has spent, in ticks.
    fn ticks(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let (_, rest) = stat.rsplit_once(')').context("the kernel does not tell")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).context("the kernel does not tell");
        Ok(number(11)? + number(12)?)
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.name]).ok();
        docker(&["volume", "rm", &self.name]).ok();
    }
}

fn docker(arguments: &[&str]) -> Result<String> {
    let done = Command::new("docker").args(arguments).output().context("there is no docker to be called")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(done.status.success(), "docker {}: {}", arguments.join(" "), text(&done.stderr));
    Ok(text(&done.stdout) + &text(&done.stderr))
}
