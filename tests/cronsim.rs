//! Our occurrences against those of cronsim, an independent implementation of Debian's cron, for
//! thousands of random patterns, zones and instants.
//!
//! `CRONSIM_SEED` repeats what a failure names; `PROPTEST_CASES` asks for more than the usual number.
//! cronsim is installed by `deployment/test`.
//!
//! Where the two differ on purpose, and so what is asked:
//! - `H`, `W`, `L-3`, `?`, `+`, ranges that wrap, and steps of a range of one value are ours alone.
//! - cronsim follows Debian's rules for clock changes with five fields only: fixed times with seconds
//!   are compared in UTC.
//! - For wildcard patterns cronsim walks in whole hours and from midnight to midnight, and loses its way
//!   where a change is neither at a full hour nor by one, or leaves midnight out. Everywhere it is asked
//!   about the wall clock of each stretch between two changes, which is the rule for these patterns; in
//!   zones with ordinary changes it is also asked to deal with them by itself.
//! - It refuses some days that no month has, and gives up after 50 years: both are *never*.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test, which may fail loudly")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde::Serialize;
use tender::schedule::Schedule;

const TRIPLES: u32 = 4_000;
/// Occurrences of each triple: enough to walk over a change.
const COUNT: usize = 6;

/// Zones, the years whose clock changes are tried, and whether all of them are by one hour, at a full
/// hour and not at midnight.
const ZONES: [(Tz, i32, i32, bool); 11] = [
    (Tz::UTC, 2000, 2026, false),
    (Tz::America__New_York, 2000, 2026, true),
    (Tz::Europe__Berlin, 2000, 2026, true),
    (Tz::Australia__Lord_Howe, 2000, 2026, false),
    (Tz::America__Sao_Paulo, 2017, 2019, false),
    (Tz::Asia__Amman, 2008, 2022, false),
    (Tz::Pacific__Chatham, 2000, 2026, false),
    (Tz::Pacific__Apia, 2010, 2014, false),
    (Tz::Asia__Gaza, 2008, 2016, false),
    (Tz::Antarctica__Troll, 2010, 2026, false),
    (Tz::Europe__Dublin, 2000, 2026, true),
];

#[derive(Debug, Clone)]
struct Triple {
    pattern: String,
    zone: Tz,
    ordinary: bool,
    after: DateTime<Utc>,
}

#[derive(Serialize)]
struct Question<'a> {
    pattern: &'a str,
    zone: &'a str,
    after: f64,
    count: usize,
    by: &'static str,
}

/// The instants at which a zone's offset changes.
fn changes(zone: Tz, first: i32, last: i32) -> Vec<DateTime<Utc>> {
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let (day, minute) = (TimeDelta::days(1), TimeDelta::minutes(1));
    let mut at = Utc.with_ymd_and_hms(first, 1, 1, 0, 0, 0).unwrap();
    let mut found = Vec::new();
    while at < Utc.with_ymd_and_hms(last + 1, 1, 1, 0, 0, 0).unwrap() {
        if offset(at) != offset(at + day) {
            let later = (1..).map(|n| at + minute * n).find(|later| offset(*later) != offset(at));
            found.extend(later);
        }
        at += day;
    }
    found
}

/// A number of a field: those around which clocks change more often than others.
fn number(min: u32, max: u32, often: &'static [u32]) -> impl Strategy<Value = u32> + Clone {
    prop_oneof![3 => select(often), 2 => min..=max]
}

/// One item of a list, in each form that both know.
fn item(min: u32, max: u32, often: &'static [u32]) -> impl Strategy<Value = String> + Clone {
    let n = number(min, max, often);
    let range = (n.clone(), n.clone()).prop_filter("two values", |(a, b)| a != b);
    let range = range.prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![
        4 => n.clone().prop_map(|a| a.to_string()),
        2 => range.clone().prop_map(|(a, b)| format!("{a}-{b}")),
        1 => (range, 1_u32..20).prop_map(|((a, b), step)| format!("{a}-{b}/{step}")),
        1 => (n, 1_u32..20).prop_map(|(a, step)| format!("{a}/{step}")),
    ]
}

fn starred(largest_step: u32) -> impl Strategy<Value = String> {
    prop_oneof![2 => Just("*".to_owned()), 1 => (1..=largest_step).prop_map(|step| format!("*/{step}"))]
}

fn list(item: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(item, 1..4).prop_map(|items| items.join(","))
}

fn texts(list: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(list).prop_map(str::to_owned)
}

prop_compose! {
    fn patterns()(
        seconds in prop_oneof![
            4 => Just(None),
            1 => prop_oneof![starred(40), list(item(0, 59, &[0, 30, 59]))].prop_map(Some),
        ],
        minute in prop_oneof![1 => starred(45), 3 => list(item(0, 59, &[0, 15, 30, 45, 50, 59]))],
        hour in prop_oneof![1 => starred(9), 3 => list(item(0, 23, &[0, 1, 2, 3, 23]))],
        day in prop_oneof![
            6 => Just("*".to_owned()),
            1 => starred(20),
            2 => list(prop_oneof![3 => item(1, 31, &[1, 25, 29, 31]), 1 => texts(&["L", "LW"])]),
        ],
        month in prop_oneof![
            6 => Just("*".to_owned()),
            1 => starred(7),
            1 => list(prop_oneof![2 => item(1, 12, &[2, 3, 4, 10]), 1 => texts(&["feb", "MAR", "Sep-NOV"])]),
        ],
        weekday in prop_oneof![
            6 => Just("*".to_owned()),
            1 => starred(4),
            2 => list(prop_oneof![
                2 => item(0, 7, &[0, 6, 7]),
                1 => texts(&["SUN", "mon-Fri", "SAT#1", "0#2", "5#5", "7#1"]),
                1 => texts(&["0L", "5L", "6l", "7L"]),
            ]),
        ],
    ) -> String {
        let seconds = seconds.map(|seconds| format!("{seconds} ")).unwrap_or_default();
        format!("{seconds}{minute} {hour} {day} {month} {weekday}")
    }
}

fn triples() -> impl Strategy<Value = Triple> {
    let places: Vec<(Tz, bool, Vec<DateTime<Utc>>)> = ZONES
        .iter()
        .map(|(zone, first, last, ordinary)| (*zone, *ordinary, changes(*zone, *first, *last)))
        .map(|(zone, ordinary, changes)| {
            let some = Utc.with_ymd_and_hms(2024, 2, 28, 23, 0, 0).unwrap();
            (zone, ordinary, if changes.is_empty() { vec![some] } else { changes })
        })
        .collect();
    let near = prop_oneof![3 => -7_200_i64..7_200, 3 => -100_000_i64..100_000, 1 => -9_000_000_i64..9_000_000];
    let place = select(places).prop_flat_map(|(zone, ordinary, changes)| (Just((zone, ordinary)), select(changes)));
    (patterns(), place, near, prop_oneof![Just(0_i64), 0_i64..1_000]).prop_map(
        |(pattern, ((zone, ordinary), change), seconds, milliseconds)| Triple {
            pattern,
            zone,
            ordinary,
            after: change + TimeDelta::seconds(seconds) + TimeDelta::milliseconds(milliseconds),
        },
    )
}

/// How cronsim is asked about a triple, and in which zone.
fn ways(triple: &Triple, wildcard: bool) -> Vec<(&'static str, Tz)> {
    let six = triple.pattern.split(' ').count() == 6;
    match (wildcard, triple.ordinary) {
        (true, true) => vec![("zone", triple.zone), ("stretch", triple.zone)],
        (true, false) => vec![("stretch", triple.zone)],
        (false, _) => vec![("zone", if six { Tz::UTC } else { triple.zone })],
    }
}

fn seed() -> u64 {
    use std::hash::BuildHasher;
    std::env::var("CRONSIM_SEED")
        .map(|text| text.parse().expect("CRONSIM_SEED is a number"))
        .unwrap_or_else(|_| std::hash::RandomState::new().hash_one(()))
}

/// The answers to all questions, from one process.
fn asked(questions: &[Question<'_>]) -> Vec<Option<Vec<i64>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/cronsim/bin/python");
    assert!(
        python.exists(),
        "cronsim is missing; `deployment/test` installs it, or: python3 -m venv target/cronsim && \
         target/cronsim/bin/pip install -r tests/cronsim/requirements.txt"
    );
    let mut child = Command::new(python)
        .arg(root.join("tests/cronsim/ask.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text: String = questions.iter().map(|q| serde_json::to_string(q).unwrap() + "\n").collect();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "the script failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(chrono_tz::IANA_TZDB_VERSION),
        "both sides must know the same zones: pin the tzdata of chrono-tz in tests/cronsim/requirements.txt"
    );
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn cronsim_agrees() {
    let seed = seed();
    eprintln!("CRONSIM_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config::default();
    let count = config.cases.max(TRIPLES);
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let strategy = triples();
    let triples: Vec<Triple> =
        (0..count).map(|_| strategy.new_tree(&mut runner).expect("values can be made").current()).collect();

    let (mut questions, mut ours) = (Vec::new(), Vec::new());
    for triple in &triples {
        let parsed = |zone| Schedule::parse(&triple.pattern, zone, "").unwrap_or_else(|e| panic!("{triple:?}: {e}"));
        for (by, zone) in ways(triple, parsed(triple.zone).follows_elapsed_time()) {
            let schedule = parsed(zone);
            let next = |at: &DateTime<Utc>| schedule.next_after(*at).filter(|at| at.timestamp() < 3_786_912_000);
            let walk = std::iter::successors(next(&triple.after), next).take(COUNT);
            ours.push((triple, by, zone, walk.map(|at| at.timestamp()).collect::<Vec<_>>()));
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
            let after = triple.after.timestamp_millis() as f64 / 1000.0;
            questions.push(Question { pattern: &triple.pattern, zone: zone.name(), after, count: COUNT, by });
        }
    }
    let theirs = asked(&questions);
    assert_eq!(theirs.len(), ours.len());
    let mut wrong = Vec::new();
    let mut never = 0;
    for ((triple, by, zone, ours), theirs) in ours.iter().zip(theirs) {
        let theirs: Vec<i64> = theirs.unwrap_or_default().into_iter().filter(|at| *at < 3_786_912_000).collect();
        never += usize::from(theirs.is_empty());
        if *ours != theirs {
            let show = |instants: &[i64]| -> Vec<String> {
                let zoned = |at: &i64| DateTime::from_timestamp(*at, 0).unwrap().with_timezone(zone).to_rfc3339();
                instants.iter().map(zoned).collect()
            };
            wrong.push(format!(
                "`{}` {zone} after {} (asked by {by})\n  ours   {:?}\n  theirs {:?}",
                triple.pattern,
                triple.after.with_timezone(zone).to_rfc3339(),
                show(ours),
                show(&theirs)
            ));
        }
    }
    assert!(never < ours.len() / 4, "{never} of {} answers are empty: this compares nothing", ours.len());
    let total = ours.len();
    assert!(
        wrong.is_empty(),
        "CRONSIM_SEED={seed}: {} of {total} differ:\n{}",
        wrong.len(),
        wrong.into_iter().take(12).collect::<Vec<_>>().join("\n")
    );
}
