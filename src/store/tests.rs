mod damage;

use super::*;
use crate::run::{Outcome, SkipReason, Stopped, Trigger};

fn job(name: &str) -> JobName {
    JobName::new(name).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn row(name: &str, seconds: i64) -> RunRecord {
    RunRecord::planned(Occurrence::first(job(name), at(seconds), 0), Trigger::Schedule)
}

fn mark() -> Started {
    Started { container: "c1".to_owned(), name: "tender-x".to_owned(), image: Some("sha256:1".to_owned()) }
}

struct Room {
    dir: tempfile::TempDir,
    lease: Lease,
    store: Store,
}

fn room() -> Room {
    let dir = tempfile::tempdir().unwrap();
    let lease = Lease::try_take(dir.path(), None).unwrap().unwrap();
    let store = Store::open(dir.path(), &lease).unwrap().store;
    Room { dir, lease, store }
}

fn finished(mut record: RunRecord, outcome: Outcome) -> RunRecord {
    record.finished_at = Some(record.occurrence.planned_for);
    record.state = State::Finished(outcome);
    record
}

#[tokio::test]
async fn an_occurrence_is_planned_once_for_ever() {
    let room = room();
    let (first, second) = (row("a", 60), row("a", 60));
    let marks = vec![(job("a"), at(60), 0)];
    assert_eq!(room.store.plan(vec![first.clone()], vec![], marks, None).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(room.store.plan(vec![second.clone(), row("b", 60)], vec![], vec![], None).await.unwrap().len(), 1);
    assert_eq!(room.store.get(&second.id).await.unwrap(), None);
    assert_eq!(room.store.find(&second.occurrence).await.unwrap(), Some(first));
    assert_eq!(room.store.watermarks().await.unwrap()[&job("a")], Watermark { at: at(60), era: 0 });
}

#[tokio::test]
async fn rows_outlive_the_process() {
    let Room { dir, lease, store } = room();
    let record = row("a", 60);
    store.plan(vec![record.clone()], vec![], vec![], None).await.unwrap();
    store.starting(&record.id, &mark()).await.unwrap();
    store.running(&record.id, at(61), Some(at(100))).await.unwrap();
    drop(store);
    let store = Store::open(dir.path(), &lease).unwrap().store;
    let stored = store.unfinished().await.unwrap().remove(0);
    assert_eq!(stored.state, State::Running { container: "c1".to_owned(), deadline: Some(at(100)) });
    assert_eq!((stored.started_at, stored.image.as_deref()), (Some(at(61)), Some("sha256:1")));
    store.stopping(&record.id, StopReason::Cancel, at(70)).await.unwrap();
    assert_eq!(Store::open_read_only(dir.path()).unwrap().get(&record.id).unwrap().unwrap().state.word(), "stopping");
}

async fn skip(store: &Store, record: &RunRecord, reason: SkipReason) -> RunRecord {
    let skipped = vec![Skipped { record: record.clone(), reason, next: vec![] }];
    let settled = store.decide(Decided { skipped, ..Decided::default() }, at(500)).await.unwrap();
    settled.skipped.into_iter().next().unwrap().0
}

#[tokio::test]
async fn steps_that_do_not_follow_are_refused() {
    let room = room();
    let record = row("a", 60);
    room.store.plan(vec![record.clone()], vec![], vec![], None).await.unwrap();
    assert!(room.store.running(&record.id, at(61), None).await.is_err(), "not marked yet");
    assert!(room.store.finish(&record, vec![]).await.is_err(), "no outcome");
    room.store.starting(&record.id, &mark()).await.unwrap();
    room.store.starting(&record.id, &mark()).await.unwrap();
    let other = Started { container: "c2".to_owned(), ..mark() };
    assert!(room.store.starting(&record.id, &other).await.is_err(), "marked with another container");
    skip(&room.store, &record, SkipReason::Overlap).await;
    assert_eq!(room.store.get(&record.id).await.unwrap().unwrap().state.word(), "starting", "it runs");
    let done = finished(record.clone(), Outcome::Succeeded);
    room.store.finish(&done, vec![]).await.unwrap();
    room.store.finish(&done, vec![]).await.unwrap();
    assert!(room.store.finish(&finished(record.clone(), Outcome::Lost), vec![]).await.is_err(), "another outcome");
    assert!(room.store.starting(&record.id, &mark()).await.is_err(), "it has ended");
}

#[tokio::test]
async fn an_outcome_and_what_follows_from_it_are_one_commit() {
    let room = room();
    let record = row("a", 60);
    room.store.plan(vec![record.clone()], vec![], vec![], None).await.unwrap();
    let mut retry = row("a", 60);
    retry.occurrence.attempt = 2;
    retry.due = at(75);
    let failed = finished(record, Outcome::Failed { code: 1, oom: false });
    assert_eq!(room.store.finish(&failed, vec![retry.clone()]).await.unwrap(), std::slice::from_ref(&retry));
    assert_eq!(room.store.unfinished().await.unwrap(), std::slice::from_ref(&retry));
    // Once more, by somebody who does not know that it was done: what waits is told again.
    let again = RunRecord { id: RunId::random(), ..retry.clone() };
    assert_eq!(room.store.finish(&failed, vec![again.clone()]).await.unwrap(), std::slice::from_ref(&retry));
    room.store.starting(&retry.id, &mark()).await.unwrap();
    assert_eq!(room.store.finish(&failed, vec![again]).await.unwrap(), [], "it has begun");
}

#[tokio::test]
async fn a_definition_is_kept_until_nothing_follows() {
    let room = room();
    let record = row("a", 60);
    room.store.plan(vec![record.clone(), row("b", 60)], vec![], vec![], None).await.unwrap();
    let schedule = crate::schedule::Schedule::parse("@hourly", chrono_tz::UTC, "a").unwrap();
    let action = crate::job::Action::Run(Box::default());
    let mut kept = Job::new(job("a"), schedule, action, crate::job::Policy::default());
    kept.policy.timeout = None;
    let text = serde_json::to_string(&kept).unwrap();
    room.store.begin(&record.id, &mark(), Some(text)).await.unwrap();
    kept.schedule = crate::schedule::Schedule::manual();
    let retry = RunRecord { occurrence: Occurrence { attempt: 2, ..record.occurrence.clone() }, ..row("a", 60) };
    room.store.finish(&finished(record, Outcome::Lost), vec![retry.clone()]).await.unwrap();
    assert_eq!(room.store.definitions().await.unwrap(), [(retry.id.clone(), kept.clone())].into());
    skip(&room.store, &retry, SkipReason::Removed).await;
    assert_eq!(room.store.definitions().await.unwrap(), [].into());
    // One that this release cannot read counts as none.
    let other = room.store.unfinished().await.unwrap().remove(0);
    room.store.begin(&other.id, &mark(), Some("{\"name\":7}".to_owned())).await.unwrap();
    assert_eq!(room.store.definitions().await.unwrap(), [].into());
}

#[tokio::test]
async fn what_was_decided_is_one_commit() {
    let room = room();
    let rows: Vec<_> = [60, 120, 180].map(|s| row("a", s)).into();
    room.store.plan(rows.clone(), vec![], vec![], None).await.unwrap();
    let mut waits = rows[0].clone();
    waits.state = State::Planned { waiting: Some("a free place".to_owned()) };
    let decided = Decided {
        waiting: vec![waits.clone()],
        skipped: vec![Skipped { record: rows[1].clone(), reason: SkipReason::Overlap, next: vec![] }],
        finished: vec![(finished(rows[2].clone(), Outcome::CouldNotStart("x".to_owned())), vec![])],
    };
    let settled = room.store.decide(decided, at(500)).await.unwrap();
    assert_eq!((settled.waiting, settled.skipped.len(), settled.finished.len()), (vec![waits.state.clone()], 1, 1));
    assert_eq!(room.store.unfinished().await.unwrap(), [waits]);
    // What ends without an outcome is refused, and the rest with it.
    let mut waits = rows[0].clone();
    waits.state = State::Planned { waiting: None };
    let decided = Decided { waiting: vec![waits], skipped: vec![], finished: vec![(rows[0].clone(), vec![])] };
    assert!(room.store.decide(decided, at(500)).await.is_err());
    assert_ne!(room.store.unfinished().await.unwrap()[0].state, State::Planned { waiting: None });
}

#[tokio::test]
async fn skips_of_one_reason_in_a_row_are_one_row() {
    let room = room();
    let store = &room.store;
    let rows: Vec<_> = [60, 120, 180, 240, 300].map(|s| row("a", s)).into();
    store.plan(rows.clone(), vec![], vec![], None).await.unwrap();
    for record in &rows[..3] {
        let gone = skip(store, record, SkipReason::Overlap).await;
        assert_eq!(gone.outcome(), Some(&Outcome::Skipped(SkipReason::Overlap)));
    }
    store.finish(&finished(rows[3].clone(), Outcome::Succeeded), vec![]).await.unwrap();
    skip(store, &rows[4], SkipReason::Overlap).await;
    store.plan(vec![], vec![SkipRow::one(job("a"), at(360), SkipReason::Missed)], vec![], None).await.unwrap();
    let shown: Vec<String> = store
        .runs(Filter::default())
        .await
        .unwrap()
        .iter()
        .map(|line| match line {
            Listed::Run(record) => format!("run {}", record.occurrence.planned_for.timestamp()),
            Listed::Skips(s) => format!("{} {}-{} {}", s.count, s.from.timestamp(), s.to.timestamp(), s.reason),
        })
        .collect();
    assert_eq!(shown, ["1 360-360 missed", "1 300-300 still running", "run 240", "3 60-180 still running"]);
    assert_eq!(store.watermarks().await.unwrap()[&job("a")].at, at(300), "a skipped occurrence never comes back");
}

#[tokio::test]
async fn requests_in_one_second_become_different_occurrences() {
    let room = room();
    let env = Environment([("API_TOKEN".to_owned(), "x1".to_owned())].into());
    let now = at(60) + chrono::TimeDelta::milliseconds(300);
    let first = room.store.plan_manual(job("a"), env.clone(), Trigger::Manual, now).await.unwrap();
    let second = room.store.plan_manual(job("a"), env, Trigger::Manual, now).await.unwrap();
    assert_eq!((first.occurrence.planned_for, second.occurrence.planned_for), (at(60), at(61)));
    assert_eq!((first.due, second.due), (now, now));
    room.store.finish(&finished(first.clone(), Outcome::Succeeded), vec![]).await.unwrap();
    let stored = room.store.get(&first.id).await.unwrap().unwrap();
    assert_eq!(stored.extra_env.0["API_TOKEN"], crate::secret::MASK, "a record keeps no secret");
}

#[tokio::test]
async fn watermarks_only_rise() {
    let room = room();
    for (seconds, era) in [(100, 0), (50, 0), (70, 1), (200, 0)] {
        room.store.raise_watermark(job("a"), at(seconds), era).await.unwrap();
    }
    assert_eq!(room.store.watermarks().await.unwrap()[&job("a")], Watermark { at: at(70), era: 1 });
    assert_eq!(room.store.era().await.unwrap(), 0);
    room.store.plan(vec![], vec![], vec![], Some(1)).await.unwrap();
    assert_eq!(room.store.era().await.unwrap(), 1);
}

#[tokio::test]
async fn pruning_keeps_the_newest_and_the_last_of_each_job() {
    let room = room();
    for (name, seconds) in [("rare", 10), ("often", 20), ("often", 30), ("often", 40)] {
        let record = row(name, seconds);
        room.store.plan(vec![record.clone()], vec![], vec![], None).await.unwrap();
        room.store.finish(&finished(record, Outcome::Succeeded), vec![]).await.unwrap();
    }
    assert_eq!(room.store.prune(1, DateTime::UNIX_EPOCH).await.unwrap(), 2);
    let outcomes = room.store.last_outcomes().await.unwrap();
    assert_eq!(outcomes[&job("rare")].finished_at, Some(at(10)));
    assert_eq!(outcomes[&job("often")].finished_at, Some(at(40)));
}

#[tokio::test]
async fn a_row_from_labels_does_not_replace_a_stored_one() {
    let room = room();
    let stored = row("a", 60);
    room.store.plan(vec![stored.clone()], vec![], vec![], None).await.unwrap();
    let rebuilt = row("a", 60);
    assert_eq!(room.store.insert_from_labels(rebuilt).await.unwrap(), stored);
    let unknown = row("b", 90);
    assert_eq!(room.store.insert_from_labels(unknown.clone()).await.unwrap(), unknown);
    assert_eq!(room.store.watermarks().await.unwrap()[&job("b")].at, at(90));
}

#[tokio::test]
async fn a_corrupt_file_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let lease = Lease::try_take(dir.path(), None).unwrap().unwrap();
    std::fs::write(dir.path().join(FILE), b"this is no database, and it is long enough to be looked at".repeat(100))
        .unwrap();
    let opened = Store::open(dir.path(), &lease).unwrap();
    let aside = opened.set_aside.unwrap();
    assert!(aside.file_name().unwrap().to_str().unwrap().starts_with("store.sqlite.corrupt-"), "{aside:?}");
    assert!(aside.exists());
    assert_eq!(opened.store.unfinished().await.unwrap(), []);
    drop(opened.store);
    assert_eq!(Store::open(dir.path(), &lease).unwrap().set_aside, None);
}

#[test]
fn the_lease_is_held_once() {
    let (state, other, stack) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut lease = Lease::try_take(state.path(), Some(stack.path())).unwrap().unwrap();
    assert!(Lease::try_take(state.path(), None).unwrap().is_none(), "one state dir");
    assert!(Lease::try_take(other.path(), Some(stack.path())).unwrap().is_none(), "one stack");
    assert_eq!(lease.generation(), 1);
    lease.set_generation(2).unwrap();
    let id = instance(state.path(), &lease).unwrap();
    drop(lease);
    let lease = Lease::try_take(state.path(), Some(stack.path())).unwrap().unwrap();
    assert_eq!(lease.generation(), 2);
    assert_eq!(instance(state.path(), &lease).unwrap(), id);
    assert!(Lease::try_take(other.path(), None).unwrap().is_some(), "the loser let go of what it had");
}

#[tokio::test]
async fn rows_of_a_mark_come_with_it_and_once() {
    let room = room();
    assert_eq!(room.store.plan_once("start", "boot 1", vec![row("a", 60)]).await.unwrap().len(), 1);
    assert_eq!(room.store.plan_once("start", "boot 1", vec![row("a", 61)]).await.unwrap(), []);
    assert_eq!(room.store.plan_once("start", "boot 2", vec![row("a", 62)]).await.unwrap().len(), 1);
    assert_eq!(room.store.unfinished().await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_last_occurrence_of_a_job_stays_whole_and_age_counts() {
    let room = room();
    let mut follow_up = row("rare", 10);
    follow_up.occurrence.part = 1;
    let mut rows = vec![row("rare", 10), follow_up];
    rows.extend((1..=1000).map(|n| row("often", n)));
    room.store.plan(rows.clone(), vec![], vec![], None).await.unwrap();
    for record in rows {
        room.store.finish(&finished(record, Outcome::Succeeded), vec![]).await.unwrap();
    }
    let under_way = row("often", 5000);
    room.store.plan(vec![under_way], vec![], vec![], None).await.unwrap();
    for n in 0..700 {
        let reason = if n % 2 == 0 { SkipReason::Overlap } else { SkipReason::Missed };
        room.store.plan(vec![], vec![SkipRow::one(job("s"), at(n), reason)], vec![], None).await.unwrap();
    }
    let left = async || {
        let listed = room.store.runs(Filter::default()).await.unwrap();
        let skips = listed.iter().filter(|line| matches!(line, Listed::Skips(_))).count();
        (listed.len() - skips, skips)
    };
    assert_eq!(room.store.forgotten().await.unwrap(), None);
    assert_eq!(room.store.prune(600, at(0)).await.unwrap(), 401, "more than one round");
    assert_eq!(room.store.forgotten().await.unwrap(), Some(at(401)));
    assert_eq!(left().await, (602, 600));
    assert_eq!(room.store.prune(600, at(900)).await.unwrap(), 498, "those before an instant");
    assert_eq!(left().await, (104, 0));
    assert_eq!(room.store.prune(0, at(0)).await.unwrap(), 100);
    assert_eq!(left().await, (4, 0), "the last occurrence of each job, both parts of one, and what is under way");
}

#[tokio::test]
async fn a_shorter_history_gives_its_room_back() {
    let room = room();
    let size = || std::fs::metadata(room.dir.path().join(FILE)).unwrap().len();
    let mut rows: Vec<RunRecord> = (0..50).map(|n| row("a", n)).collect();
    for record in &mut rows {
        record.output_note = Some("x".repeat(1 << 18));
        record.state = State::Finished(Outcome::Succeeded);
    }
    room.store.plan(rows, vec![], vec![], None).await.unwrap();
    checkpoint(&room).await;
    let full = size();
    assert!(full > 12 << 20);
    room.store.prune(1, at(0)).await.unwrap();
    checkpoint(&room).await;
    assert!(size() < full / 2, "{full} bytes became {}", size());
}

async fn checkpoint(room: &Room) {
    let done = |c: &rusqlite::Connection| {
        c.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map_err(Into::into)
    };
    assert_eq!(room.store.thread.read(done).await.unwrap(), 0);
}

#[tokio::test]
async fn no_question_reads_or_sorts_the_whole_history() {
    let room = room();
    for sql in super::sql::ALL {
        let plan = room
            .store
            .thread
            .read(move |c| {
                let mut statement = c.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let unset = vec![rusqlite::types::Null; statement.parameter_count()];
                let steps = statement.query_map(rusqlite::params_from_iter(unset), |row| row.get::<_, String>(3))?;
                Ok(steps.collect::<rusqlite::Result<Vec<String>>>()?)
            })
            .await
            .unwrap();
        let scans = |step: &&String| {
            let table = ["SCAN runs", "SCAN skips", "SCAN old", "SCAN later"].iter().any(|scan| step.starts_with(scan));
            (table && !step.contains("USING")) || step.contains("FOR ORDER BY")
        };
        assert_eq!(plan.iter().find(scans), None, "{sql}: {plan:#?}");
    }
}

#[tokio::test]
async fn an_outcome_is_synchronized_and_nothing_else() {
    let room = room();
    let level = |tx: &rusqlite::Connection| Ok(tx.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?);
    assert_eq!(room.store.thread.write(Durability::Power, move |tx| level(tx)).await.unwrap(), 2, "FULL");
    assert_eq!(room.store.thread.write(Durability::Process, move |tx| level(tx)).await.unwrap(), 1, "NORMAL");
    let failed: Result<()> = room.store.thread.write(Durability::Power, |_| anyhow::bail!("as it happens")).await;
    assert!(failed.is_err());
    assert_eq!(room.store.thread.read(level).await.unwrap(), 1, "after a failure, too");
}

#[tokio::test]
async fn the_log_of_the_store_shrinks_again_after_a_long_reader() {
    let room = room();
    let wal = room.dir.path().join(format!("{FILE}-wal"));
    let write = async |from: i64| {
        for n in from..from + 200 {
            let mut record = row("a", n);
            record.output_note = Some("x".repeat(60_000));
            room.store.plan(vec![record], vec![], vec![], None).await.unwrap();
        }
    };
    let reader = rusqlite::Connection::open(room.dir.path().join(FILE)).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM runs").unwrap();
    write(0).await;
    let length = || std::fs::metadata(&wal).unwrap().len();
    assert!(length() > 8 << 20, "nothing could be moved out of it: {}", length());
    reader.execute_batch("COMMIT").unwrap();
    write(1000).await;
    assert!(length() < 6 << 20, "{}", length());
}

/// Runs this test's program once more with only this test, which reads there.
#[tokio::test]
async fn another_process_reads_while_this_one_writes() {
    const DIR: &str = "TENDER_TEST_READS";
    if let Ok(dir) = std::env::var(DIR) {
        return read_until_told(std::path::Path::new(&dir));
    }
    let room = room();
    let name = std::thread::current().name().unwrap().to_owned();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name.as_str(), "--exact"])
        .env(DIR, room.dir.path())
        .spawn()
        .unwrap();
    let mut n = 0;
    // Its word that it has begun is a file: until then there is nothing to be read beside.
    let (begun, ended) = (room.dir.path().join("begun"), room.dir.path().join("ended"));
    while !begun.exists() || n < 500 {
        n += 1;
        room.store.plan(vec![row("left", n), row("right", n)], vec![], vec![], None).await.unwrap();
        if n % 50 == 0 {
            room.store.prune(20, at(0)).await.unwrap();
        }
    }
    std::fs::write(ended, "").unwrap();
    assert!(child.wait().unwrap().success());
}

fn read_until_told(dir: &std::path::Path) {
    let reader = Store::open_read_only(dir).unwrap();
    let mut seen = 0;
    while !dir.join("ended").exists() || seen == 0 {
        let listed = reader.runs(&Filter::default()).unwrap();
        let of = |name: &str| {
            let of = |line: &&Listed| matches!(line, Listed::Run(record) if record.occurrence.job.as_str() == name);
            listed.iter().filter(of).map(Listed::at).collect::<Vec<_>>()
        };
        assert_eq!(of("left"), of("right"), "what one transaction wrote is seen as a whole");
        seen = listed.len();
        std::fs::write(dir.join("begun"), "").unwrap();
    }
}

#[tokio::test]
async fn a_copy_is_whole() {
    let room = room();
    room.store.plan(vec![row("a", 60)], vec![], vec![], None).await.unwrap();
    let copy = room.dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    Store::open_read_only(room.dir.path()).unwrap().copy_to(&copy.join(FILE)).unwrap();
    assert_eq!(Store::open_read_only(&copy).unwrap().unfinished().unwrap(), room.store.unfinished().await.unwrap());
}

#[tokio::test]
async fn a_full_store_gives_up_the_ballast() {
    let room = room();
    let ballast = room.dir.path().join("ballast");
    assert!(ballast.exists());
    let limit = |c: &rusqlite::Connection| {
        let pages: i64 = c.pragma_query_value(None, "page_count", |row| row.get(0))?;
        Ok(c.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))?)
    };
    room.store.thread.read(limit).await.unwrap();
    let mut large = row("a", 60);
    large.output_note = Some("x".repeat(1 << 20));
    let error = room.store.plan(vec![large], vec![], vec![], None).await.unwrap_err();
    assert!(format!("{error:#}").contains("full"), "{error:#}");
    assert!(!ballast.exists());
    assert_eq!(room.store.damage(), None);
    assert_eq!(room.store.look_at_disk(), None, "the disk itself is well");
    assert!(ballast.exists(), "it is made again");
}

#[tokio::test]
async fn what_was_stopped_is_noted_until_it_runs_again() {
    let Room { dir, lease, store } = room();
    let note = |run: &str, service: &str| Stopped {
        run: RunId(run.to_owned()),
        project: "stack".to_owned(),
        service: service.to_owned(),
        container: format!("id of {service}"),
        number: Some(1),
        started_at: Some(at(1)),
        grace_ms: 10_000,
    };
    let (web, db) = (note("a", "web"), note("a", "db"));
    for note in [&web, &db, &web] {
        store.note_stopped(note).await.unwrap();
    }
    let again = Stopped { started_at: Some(at(2)), ..web };
    store.note_stopped(&again).await.unwrap();
    drop(store);
    let store = Store::open(dir.path(), &lease).unwrap().store;
    assert_eq!(store.stopped().await.unwrap(), [again.clone(), db.clone()]);
    store.forget_stopped(&note("b", "web")).await.unwrap();
    store.forget_stopped(&again).await.unwrap();
    assert_eq!(store.stopped().await.unwrap(), [db]);
}
