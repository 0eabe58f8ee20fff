//! What is said is what can be read, whatever happens in between. Each case compares all bytes.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::engine::Channel;
use crate::job::JobName;
use crate::run::{Occurrence, Outcome, RunRecord, State, Trigger};
use crate::runner::joblog;
use crate::runner::projection::{Progress, Projector};
use crate::runner::shelf;
use crate::runner::spool::Record;

struct House {
    dir: tempfile::TempDir,
    output: Output,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let output = Output::start(Shelf::new(&dir.path().join("state"))).unwrap();
        Self { dir, output }
    }

    /// The next process.
    async fn restart(&mut self) {
        self.output.stop().await;
        self.output = Output::start(self.output.shelf().clone()).unwrap();
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("logs/backup.log")
    }

    fn target(&self) -> Option<LogTarget> {
        Some(LogTarget { path: self.log(), job: "backup".to_owned(), started: DateTime::UNIX_EPOCH })
    }

    fn logged(&self) -> Vec<u8> {
        fs::read(self.log()).unwrap_or_default()
    }

    async fn open(&self, run: &RunId) -> Lane {
        self.output.open(run, self.target()).await.unwrap()
    }

    async fn close(&self, run: &RunId) {
        self.output.close(run, self.target(), trailer(run)).await.unwrap();
    }

    fn spooled(&self, run: &RunId) -> Vec<u8> {
        let mut all = Vec::new();
        shelf::copy(&mut self.output.shelf().read(run).unwrap().unwrap(), &mut all).unwrap();
        all
    }

    /// Waits until nothing is left to be made up for.
    async fn caught_up(&self) {
        while !self.output.trouble().is_empty() {
            self.output.retry();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn run(id: &str) -> RunId {
    RunId(id.to_owned())
}

fn trailer(run: &RunId) -> Trailer {
    let occurrence = Occurrence::first(JobName::new("backup").unwrap(), DateTime::UNIX_EPOCH, 0);
    let mut record = RunRecord::planned(occurrence, Trigger::Schedule);
    record.id = run.clone();
    record.state = State::Finished(Outcome::Succeeded);
    Trailer::of(&record).unwrap()
}

fn said(channel: Channel, time_ns: i64, bytes: &[u8]) -> Frame {
    Frame { channel, time_ns, bytes: bytes.to_vec() }
}

fn begins() -> &'static str {
    "==========\nbackup START_TIME=1970-01-01T00:00:00+00:00\n"
}

fn ends(run: &RunId) -> String {
    format!(
        "\nbackup finished START_TIME=1970-01-01T00:00:00+00:00\n\
         backup finished   END_TIME=1970-01-01T00:00:00+00:00 outcome=succeeded run={run}\n"
    )
}

/// The log as it would be without any trouble.
fn whole(run: &RunId, pieces: &[Frame]) -> Vec<u8> {
    let mut projector = Projector::resume("backup", Progress::new(DateTime::UNIX_EPOCH));
    pieces.iter().for_each(|piece| projector.feed(piece));
    projector.finish(&trailer(run));
    projector.waiting().1.to_vec()
}

async fn push_all(lane: &Lane, pieces: &[Frame]) {
    for chunk in pieces.chunks(16) {
        lane.push(chunk.to_vec()).await.unwrap();
    }
}

/// Compared by what they are, but not printed when they differ: they are long.
fn same(found: &[u8], wanted: &[u8], what: &str) {
    let at = found.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(found.len().min(wanted.len()));
    assert!(found == wanted, "{what}: {} bytes instead of {}, other from byte {at} on", found.len(), wanted.len());
}

#[tokio::test]
async fn every_kind_of_output_comes_through_unchanged() {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let cases: [(&str, Vec<Frame>); 7] = [
        ("nothing", vec![]),
        ("no final newline", vec![said(Channel::Out, 1, b"one\ntwo")]),
        ("every byte there is", vec![said(Channel::Out, 1, &all_bytes), said(Channel::Out, 2, &all_bytes)]),
        (
            "invalid UTF-8 and NULs",
            vec![said(Channel::Err, 1, b"\xff\xfe\0\0\x80\n\xc3("), said(Channel::Err, 2, b"\0")],
        ),
        (
            "one line of 10 MB, in pieces of one time",
            (0..640).map(|n| said(Channel::Out, 7, &vec![b'a' + (n % 26) as u8; 16 << 10])).collect(),
        ),
        (
            "many tiny lines at once",
            (0..100_000).map(|n| said(Channel::Out, n / 1000, format!("{n}\n").as_bytes())).collect(),
        ),
        (
            "both streams in turns",
            (0..1000)
                .map(|n| said(if n % 3 == 0 { Channel::Err } else { Channel::Out }, n, format!("{n}\n").as_bytes()))
                .collect(),
        ),
    ];
    let house = House::new();
    for (index, (what, pieces)) in cases.iter().enumerate() {
        let run = run(&format!("{index:012x}"));
        fs::remove_file(house.log()).ok();
        let lane = house.open(&run).await;
        push_all(&lane, pieces).await;
        lane.end().await.unwrap();
        house.close(&run).await;
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        same(&house.spooled(&run), &bytes, what);
        let wanted = [begins().as_bytes(), &bytes, ends(&run).as_bytes()].concat();
        same(&house.logged(), &wanted, what);
    }
    house.output.stop().await;
    assert_eq!(house.output.shelf().open_spools().unwrap(), [], "all of them are compressed");
    assert!(fs::read_to_string(joblog::pos_path(&house.log())).unwrap().contains("\"runs\":{}"));
}

#[tokio::test]
async fn unfinished_lines_of_both_streams_stay_apart_from_each_other_and_from_the_marker() {
    let (house, run) = (House::new(), run("a"));
    let lane = house.open(&run).await;
    let pieces = [said(Channel::Out, 1, b"out"), said(Channel::Err, 2, b"err"), said(Channel::Out, 3, b"put")];
    push_all(&lane, &pieces).await;
    lane.end().await.unwrap();
    house.close(&run).await;
    same(&house.logged(), format!("{}output\nerr{}", begins(), ends(&run)).as_bytes(), "the log");
}

#[tokio::test]
async fn one_who_never_stops_talking_does_not_keep_the_others_from_being_heard() {
    let house = House::new();
    let (flood, other) = (house.output.open(&run("a"), None).await.unwrap(), house.open(&run("b")).await);
    let talk = async {
        for n in 0.. {
            flood.push(vec![said(Channel::Out, n, &[b'x'; 1 << 14]); 16]).await.unwrap();
        }
    };
    let heard = async {
        other.push(vec![said(Channel::Out, 1, b"hello\n")]).await.unwrap();
        while !house.logged().ends_with(b"hello\n") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let limit = tokio::time::timeout(Duration::from_secs(60), heard);
    tokio::select! {
        () = talk => {}
        heard = limit => heard.expect("the other one is heard while the flood goes on"),
    }
}

#[tokio::test]
async fn a_reader_goes_on_across_compression() {
    let (house, run) = (House::new(), run("a"));
    let lane = house.open(&run).await;
    lane.push(vec![said(Channel::Out, 1, b"one\n")]).await.unwrap();
    let shelf = house.output.shelf().clone();
    while fs::metadata(shelf.raw(&run)).unwrap().len() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut reader = shelf.read(&run).unwrap().unwrap();
    assert_eq!(reader.next().unwrap(), Some(Record::Piece(said(Channel::Out, 1, b"one\n"))));
    lane.push(vec![said(Channel::Out, 2, b"two\n")]).await.unwrap();
    lane.end().await.unwrap();
    house.close(&run).await;
    house.output.stop().await;
    assert!(!shelf.raw(&run).exists() && shelf.packed(&run).exists());
    let rest = [reader.next().unwrap(), reader.next().unwrap(), reader.next().unwrap()];
    assert_eq!(rest, [Some(Record::Piece(said(Channel::Out, 2, b"two\n"))), Some(Record::End), None]);
    same(&house.spooled(&run), b"one\ntwo\n", "who comes later");
}

#[derive(Debug, Clone, Copy)]
enum Rotation {
    /// Ours: under the lock.
    OwnCopy,
    ForeignRename,
    ForeignCopyTruncate,
}

#[tokio::test]
async fn rotation_in_the_middle_loses_nothing() {
    for rotation in [Rotation::OwnCopy, Rotation::ForeignRename, Rotation::ForeignCopyTruncate] {
        for restart in [false, true] {
            let (mut house, run) = (House::new(), run("a"));
            let pieces: Vec<Frame> =
                (0..300).map(|n| said(Channel::Out, n, format!("line {n}\n").as_bytes())).collect();
            let mut rotated = Vec::new();
            let mut lane = house.open(&run).await;
            for (at, piece) in pieces.iter().enumerate() {
                lane.push(vec![piece.clone()]).await.unwrap();
                if at % 100 == 50 {
                    let log = house.log();
                    let text = format!("line {at}\n");
                    while !house.logged().ends_with(text.as_bytes()) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    rotated.extend(rotate(&log, rotation));
                    if restart {
                        house.restart().await;
                        lane = house.open(&run).await;
                        assert!(!lane.stored.cursor.filter().is_new(piece));
                    }
                }
            }
            lane.end().await.unwrap();
            house.close(&run).await;
            rotated.extend(house.logged());
            same(&rotated, &whole(&run, &pieces), &format!("{rotation:?}, restart: {restart}"));
        }
    }
}

fn rotate(log: &Path, how: Rotation) -> Vec<u8> {
    match how {
        Rotation::OwnCopy => joblog::with_lock(log, |file, _| {
            let text = fs::read(log)?;
            file.set_len(0)?;
            Ok(text)
        })
        .unwrap(),
        Rotation::ForeignRename => {
            let aside = log.with_extension("1");
            fs::rename(log, &aside).unwrap();
            fs::read(aside).unwrap()
        }
        Rotation::ForeignCopyTruncate => {
            let text = fs::read(log).unwrap();
            File::options().write(true).open(log).unwrap().set_len(0).unwrap();
            text
        }
    }
}

#[tokio::test]
async fn logs_that_cannot_be_written_are_made_up_for_once_and_in_order() {
    let (mut house, first, second) = (House::new(), run("a"), run("b"));
    let folder = house.log().parent().unwrap().to_owned();
    fs::write(&folder, "in the way of the folder").unwrap();
    let going = house.open(&first).await;
    going.push(vec![said(Channel::Out, 1, b"one\n")]).await.unwrap();
    // Another run of the same job comes and goes meanwhile.
    let over = house.open(&second).await;
    over.push(vec![said(Channel::Out, 1, b"other\n")]).await.unwrap();
    over.end().await.unwrap();
    house.close(&second).await;
    assert_eq!(house.output.trouble().into_keys().collect::<Vec<_>>(), [house.log()]);
    fs::remove_file(&folder).unwrap();
    house.caught_up().await;
    let other = [b"other\n".as_slice(), ends(&second).as_bytes()].concat();
    same(&house.logged(), &[begins().as_bytes(), b"one\n", begins().as_bytes(), &other].concat(), "caught up");

    // And once more, this time in the middle of a run that ends, with a folder in place of the log.
    fs::remove_file(house.log()).unwrap();
    fs::create_dir(house.log()).unwrap();
    going.push(vec![said(Channel::Out, 2, b"two\n")]).await.unwrap();
    going.end().await.unwrap();
    house.close(&first).await;
    assert!(!house.output.trouble().is_empty());
    house.restart().await;
    fs::remove_dir(house.log()).unwrap();
    // What the next start does with spools that it finds.
    assert_eq!(house.output.shelf().open_spools().unwrap(), std::slice::from_ref(&first));
    house.close(&first).await;
    same(&house.logged(), &[b"two\n".as_slice(), ends(&first).as_bytes()].concat(), "after a restart");
}

#[tokio::test]
async fn what_nobody_goes_on_with_is_put_away() {
    let (house, lost) = (House::new(), run("a"));
    let lane = house.output.open(&lost, None).await.unwrap();
    lane.push(vec![said(Channel::Out, 1, b"one\n")]).await.unwrap();
    lane.end().await.unwrap();
    fs::write(house.output.shelf().packed(&run("b")).with_extension("gz.new"), "left by a crash").unwrap();
    house.output.put_away(&lost);
    house.output.keep(Keep { count: 10, age: Duration::from_secs(60), bytes: 1 << 20 });
    house.output.stop().await;
    let names: Vec<_> =
        fs::read_dir(house.dir.path().join("state/spool")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names, [house.output.shelf().packed(&lost)]);
}

/// What an engine holds of one container.
fn history() -> impl Strategy<Value = Vec<Frame>> {
    let byte = prop_oneof![Just(b'\n'), Just(b'a'), Just(0u8), Just(255u8)];
    prop::collection::vec((any::<bool>(), 0i64..2, prop::collection::vec(byte, 0..6)), 1..40).prop_map(|steps| {
        let mut now = 1;
        let pieces = steps.into_iter().map(|(err, step, bytes)| {
            now += step;
            said(if err { Channel::Err } else { Channel::Out }, now, &bytes)
        });
        pieces.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The process dies, once or twice, with spool and log torn at any byte where a death can tear them.
    #[test]
    fn nothing_is_lost_or_doubled_when_it_dies_anywhere(
        pieces in history(), deaths in prop::collection::vec((0usize..40, 0u64..200, 0u64..200), 1..3)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = run("a");
        let (logged, spooled) = runtime.block_on(async {
            let mut house = House::new();
            for (until, spool, log) in deaths {
                follow(&house, &run, &pieces[..until.min(pieces.len())]).await;
                house.output.stop().await;
                tear(&house, &run, spool, log);
                house.restart().await;
            }
            follow(&house, &run, &pieces).await.end().await.unwrap();
            house.close(&run).await;
            (house.logged(), house.spooled(&run))
        });
        prop_assert_eq!(logged, whole(&run, &pieces));
        prop_assert_eq!(spooled, pieces.iter().flat_map(|piece| piece.bytes.clone()).collect::<Vec<u8>>());
    }
}

/// Follows what the engine holds from where the spool is.
async fn follow(house: &House, run: &RunId, held: &[Frame]) -> Lane {
    let lane = house.open(run).await;
    let (since, mut filter) = (lane.stored.cursor.since(), lane.stored.cursor.filter());
    let new: Vec<Frame> = held.iter().filter(|piece| piece.time_ns >= since && filter.is_new(piece)).cloned().collect();
    for piece in new {
        lane.push(vec![piece]).await.unwrap();
    }
    lane
}

/// The spool may lack any number of bytes, the log a part of its last append.
fn tear(house: &House, run: &RunId, spool: u64, log: u64) {
    let cut = |path: &Path, bytes: u64| {
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len().saturating_sub(bytes)).unwrap();
    };
    cut(&house.output.shelf().raw(run), spool);
    let note = fs::read_to_string(joblog::pos_path(&house.log())).unwrap();
    let note: joblog::Pos = serde_json::from_str(note.lines().next().unwrap()).unwrap();
    if note.run.is_some() {
        cut(&house.log(), log.min(note.length));
    }
}
