//! Much output takes no memory. A process of its own, for its peak is what is looked at.

// a test that cannot go on ends
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};

use sha2::{Digest, Sha256};
use tender::engine::{Channel, Frame};
use tender::job::JobName;
use tender::run::{Occurrence, Outcome, RunId, RunRecord, State, Trigger};
use tender::runner::output::{LogTarget, Output};
use tender::runner::projection::Trailer;
use tender::runner::shelf::{self, Shelf};

/// `TENDER_FLOOD_MB=1000` for the whole gigabyte.
const MEGABYTES: &str = "TENDER_FLOOD_MB";

/// What is in memory beside the 2 MB that may be on their way: one batch as it is written to the spool
/// and to the log, a line of 1 MB that has no end yet, the compressor.
const BOUND: u64 = 12 << 20;

#[tokio::test(flavor = "current_thread")]
async fn a_flood_takes_no_memory_and_loses_no_byte() {
    let megabytes: u32 = std::env::var(MEGABYTES).map_or(64, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("flood.log");
    let record = record();
    let target = LogTarget { path: log.clone(), job: "flood".to_owned(), started: record.due };
    let output = Output::start(Shelf::new(dir.path())).unwrap();
    let lane = output.open(&record.id, Some(target.clone())).await.unwrap();
    let mut sent = Sha256::new();
    // Once through everything, so that what is measured is growth.
    let mut number = 0;
    let mut flood = async |megabytes: u32| {
        for _ in 0..megabytes * 4 {
            let pieces: Vec<Frame> = (0..16).map(|_| piece(&mut number)).collect();
            pieces.iter().for_each(|piece| sent.update(&piece.bytes));
            lane.push(pieces).await.unwrap();
        }
    };
    flood(4).await;
    let before = peak();
    flood(megabytes).await;
    lane.end().await.unwrap();
    output.close(&record.id, Some(target), Trailer::of(&record).unwrap()).await.unwrap();
    output.stop().await;
    let grown = peak().saturating_sub(before);
    assert!(grown < BOUND, "{megabytes} MB of output took {grown} bytes of memory");

    let mut read = Hasher(Sha256::new());
    shelf::copy(&mut output.shelf().read(&record.id).unwrap().unwrap(), &mut read).unwrap();
    let sent = sent.finalize();
    assert_eq!(read.0.finalize(), sent, "the spool, compressed");
    assert_eq!(body_of(&log), sent, "the log between its markers");
}

fn record() -> RunRecord {
    let occurrence = Occurrence::first(JobName::new("flood").unwrap(), chrono::DateTime::UNIX_EPOCH, 0);
    let mut record = RunRecord::planned(occurrence, Trigger::Schedule);
    record.id = RunId("0123456789ab".to_owned());
    record.state = State::Finished(Outcome::Succeeded);
    record
}

/// Pieces as the engine cuts them, of lines that all differ; noise, which compresses badly.
fn piece(number: &mut u64) -> Frame {
    let mut bytes = Vec::with_capacity(16 << 10);
    while bytes.len() < 16 << 10 {
        *number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&number.to_be_bytes());
        if bytes.len() % 120 == 0 {
            bytes.push(b'\n');
        }
    }
    bytes.truncate(16 << 10);
    Frame { channel: Channel::Out, time_ns: i64::from_ne_bytes(number.to_ne_bytes()) & i64::MAX, bytes }
}

/// The most memory that this process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// The hash of a log without the two lines before and the three after its body.
fn body_of(log: &std::path::Path) -> sha2::digest::Output<Sha256> {
    let head = "==========\nflood START_TIME=1970-01-01T00:00:00+00:00\n";
    let tail = "\nflood finished START_TIME=1970-01-01T00:00:00+00:00\n\
                flood finished   END_TIME=1970-01-01T00:00:00+00:00 outcome=succeeded run=0123456789ab\n";
    let mut file = std::fs::File::open(log).unwrap();
    let body = file.metadata().unwrap().len() - (head.len() + tail.len()) as u64;
    let mut found = String::new();
    Read::by_ref(&mut file).take(head.len() as u64).read_to_string(&mut found).unwrap();
    assert_eq!(found, head);
    let mut hasher = Hasher(Sha256::new());
    std::io::copy(&mut Read::by_ref(&mut file).take(body), &mut hasher).unwrap();
    found.clear();
    file.read_to_string(&mut found).unwrap();
    assert_eq!(found, tail);
    hasher.0.finalize()
}

struct Hasher(Sha256);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
