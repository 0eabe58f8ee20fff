//! `cargo bench --bench parts`: pure code, piece by piece, with criterion.

// benches may stop as tests may; criterion's macro makes a function without a sentence about it
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::path::PathBuf;

use chrono::DateTime;
use chrono_tz::Tz;
use criterion::{Criterion, criterion_group, criterion_main};
use tender::config::{Collected, Installation, JobFile, Text, resolve};
use tender::job::MountSource;
use tender::schedule::Schedule;

fn schedules(c: &mut Criterion) {
    let after = DateTime::from_timestamp(1_774_746_000, 0).unwrap();
    let mut group = c.benchmark_group("next occurrence");
    for (name, text, zone) in [
        ("every minute", "* * * * *", Tz::UTC),
        ("nightly", "7 5 * * *", Tz::UTC),
        ("nightly, with a clock change", "30 2 * * *", Tz::America__Montreal),
        ("last weekday of a month", "0 12 L * *", Tz::Europe__Berlin),
        ("29 February", "0 0 29 2 *", Tz::UTC),
        ("never", "0 0 31 2 *", Tz::UTC),
        ("interval", "@every 45m", Tz::UTC),
    ] {
        let Ok(schedule) = Schedule::parse(text, zone, "bench") else { continue };
        group.bench_function(name, |b| b.iter(|| black_box(&schedule).next_after(black_box(after))));
    }
    group.finish();
    c.bench_function("schedule parse", |b| {
        b.iter(|| Schedule::parse(black_box("*/5 3-7 1,15 jan-jun mon"), Tz::UTC, "bench"));
    });
}

/// What was collected of a stack whose only file is a job file.
fn collected(text: String) -> Collected {
    let path = PathBuf::from("/stack/jobs.yml");
    let mut collected = Collected { compose_dir: "/stack".into(), complete: true, ..Collected::default() };
    collected.files.insert(path.clone(), Text::Utf8(text));
    collected.job_files.push(JobFile { path, legacy: true, template: false });
    collected
}

fn job_files(c: &mut Criterion) {
    let installation = Installation {
        image: "tender".to_owned(),
        socket: "/run/docker.sock".into(),
        state: MountSource::Volume("state".to_owned()),
        instance: "bench".to_owned(),
    };
    let file =
        |job: &str| (0..100).map(|n| format!("- name: j{n}\n  schedule: '@daily'\n  image: alpine\n{job}")).collect();
    let flags = (0..10).map(|n| format!(" --volume /a{n}:/b{n}:ro --env 'A{n}=x y'")).collect::<String>();
    let operators = "  command: 'a \"b c\" d\\ e | f > /dev/null && g; h'\n";
    let words = "  command: 'a \"b c\" d\\ e \"$HOME\" f g h i j k'\n";
    let mut group = c.benchmark_group("resolve");
    for (name, text) in [
        ("no job at all", String::new()),
        ("100 jobs, YAML and all", file("  command: [\"true\"]\n")),
        ("100 jobs, words of a command", file(words)),
        ("100 jobs, a command for a shell", file(operators)),
        ("100 jobs, 20 flags of docker run", file(&format!("  command: [\"true\"]\n  dockerargs: >-\n   {flags}\n"))),
    ] {
        let collected = collected(text);
        group.bench_function(name, |b| {
            b.iter_batched(|| collected.clone(), |c| resolve(c, &installation), criterion::BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(parts, schedules, job_files);
criterion_main!(parts);
