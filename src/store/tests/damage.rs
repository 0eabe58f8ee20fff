//! Files that are no store any more, or not of this release.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use super::*;

/// A store with some history, closed.
async fn closed() -> Room {
    let mut room = room();
    // More than the connection holds in memory.
    let rows = (0..300).map(|n| RunRecord { output_note: Some("x".repeat(20_000)), ..row("a", n) });
    room.store.plan(rows.collect(), vec![], vec![(job("a"), at(300), 0)], None).await.unwrap();
    checkpoint(&room).await;
    // Replaced, so that the last handle of it is dropped and its thread closes the file.
    room.store = super::room().store;
    closed_file(&room).await;
    room
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Notes that a service was stopped, in a store that is closed again.
async fn note(room: &Room) -> Stopped {
    let note = Stopped {
        run: RunId("a".to_owned()),
        project: "stack".to_owned(),
        service: "web".to_owned(),
        container: "c1".to_owned(),
        number: Some(1),
        started_at: None,
        grace_ms: 10_000,
    };
    let store = Store::open(room.dir.path(), &room.lease).unwrap().store;
    store.note_stopped(&note).await.unwrap();
    drop(store);
    closed_file(room).await;
    note
}

/// Waits until the thread of a store that was dropped has closed its file.
async fn closed_file(room: &Room) {
    let log = room.dir.path().join(format!("{FILE}-wal"));
    while log.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn whatever_is_no_store_is_set_aside_and_a_new_one_begun() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 8] = [
        ("no database at all", |path| fs::write(path, "this is none".repeat(1000)).unwrap()),
        ("a damaged head", |path| overwrite(path, 0, b"SQLite formas 3")),
        ("a damaged page", |path| overwrite(path, 4 * 4096, &[0xff; 4096])),
        ("half of it", |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }),
        ("an empty file", |path| fs::write(path, "").unwrap()),
        ("a folder", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            fs::write(path.join("something"), "").unwrap();
        }),
        ("somebody else's database", |path| {
            fs::remove_file(path).unwrap();
            let other = rusqlite::Connection::open(path).unwrap();
            other.execute_batch("CREATE TABLE runs (id INTEGER); INSERT INTO runs VALUES (7)").unwrap();
        }),
        ("marked while it was in use", |path| {
            fs::write(path.with_file_name(format!("{FILE}.damaged")), "").unwrap();
        }),
    ];
    for (what, harm) in harms {
        let room = closed().await;
        let path = room.dir.path().join(FILE);
        let note = note(&room).await;
        harm(&path);
        let before = fs::read(&path).ok();
        let opened = Store::open(room.dir.path(), &room.lease).unwrap();
        let aside = opened.set_aside.unwrap_or_else(|| panic!("{what} was taken for a store"));
        assert!(aside.file_name().unwrap().to_str().unwrap().starts_with("store.sqlite.corrupt-"), "{aside:?}");
        assert_eq!(fs::read(&aside).ok().is_some(), before.is_some(), "{what}");
        assert_eq!(opened.store.unfinished().await.unwrap(), [], "{what}");
        let notes = opened.store.stopped().await.unwrap();
        assert_eq!(opened.notes_lost, notes.is_empty(), "{what}");
        if what == "marked while it was in use" || what == "a damaged page" {
            assert_eq!(notes, [note], "{what}");
        }
        opened.store.plan(vec![row("a", 1)], vec![], vec![], None).await.unwrap();
        drop(opened.store);
        let again = Store::open(room.dir.path(), &room.lease).unwrap();
        assert_eq!((again.set_aside, again.store.unfinished().await.unwrap().len()), (None, 1), "{what}");
    }
}

#[tokio::test]
async fn the_log_of_a_store_that_is_gone_is_not_played_into_a_new_one() {
    let room = room();
    room.store.plan(vec![row("a", 60)], vec![], vec![], None).await.unwrap();
    let other = super::room();
    for name in [FILE.to_owned(), format!("{FILE}-wal"), format!("{FILE}-shm")] {
        fs::copy(room.dir.path().join(&name), other.dir.path().join(&name)).unwrap();
    }
    fs::remove_file(other.dir.path().join(FILE)).unwrap();
    let opened = Store::open(other.dir.path(), &other.lease).unwrap();
    assert!(opened.set_aside.is_some());
    assert_eq!(opened.store.unfinished().await.unwrap(), []);
}

#[tokio::test]
async fn two_in_one_second_do_not_replace_each_other() {
    let room = closed().await;
    let path = room.dir.path().join(FILE);
    let mut aside = Vec::new();
    for text in ["one", "two", "three"] {
        fs::write(&path, text.repeat(1000)).unwrap();
        aside.push(Store::open(room.dir.path(), &room.lease).unwrap().set_aside.unwrap());
    }
    let texts: Vec<String> = aside.iter().map(|path| fs::read_to_string(path).unwrap()[..3].to_owned()).collect();
    assert_eq!(texts, ["one", "two", "thr"]);
}

#[tokio::test]
async fn damage_that_is_found_later_is_told_and_set_aside_at_the_next_start() {
    let room = closed().await;
    let path = room.dir.path().join(FILE);
    let store = Store::open(room.dir.path(), &room.lease).unwrap().store;
    assert_eq!(store.damage(), None);
    // Beside its back; what it reads first it has not read yet.
    let pages = fs::metadata(&path).unwrap().len() / 4096;
    for page in 2..pages {
        overwrite(&path, page * 4096, &[0xff; 4096]);
    }
    assert!(store.runs(Filter::default()).await.is_err());
    assert!(store.damage().is_some());
    drop(store);
    let opened = Store::open(room.dir.path(), &room.lease).unwrap();
    assert!(opened.set_aside.is_some());
    assert_eq!((opened.store.damage(), opened.store.runs(Filter::default()).await.unwrap()), (None, vec![]));
}

#[tokio::test]
async fn a_large_file_is_checked_beside_its_use() {
    let room = room();
    let rows: Vec<_> = (0..20).map(|n| RunRecord { output_note: Some("x".repeat(1 << 20)), ..row("a", n) }).collect();
    room.store.plan(rows, vec![], vec![], None).await.unwrap();
    checkpoint(&room).await;
    let path = room.dir.path().join(FILE);
    let Room { dir, lease, store } = room;
    drop(store);
    let sound = Store::open(dir.path(), &lease).unwrap();
    assert_eq!(sound.set_aside, None);
    drop(sound);
    for page in 100..200 {
        overwrite(&path, page * 4096, &[0xff; 4096]);
    }
    let opened = Store::open(dir.path(), &lease).unwrap();
    assert_eq!(opened.set_aside, None, "a start does not wait for it");
    while opened.store.damage().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(opened);
    assert!(Store::open(dir.path(), &lease).unwrap().set_aside.is_some());
}

#[tokio::test]
async fn a_store_of_the_first_release_keeps_every_row() {
    let dir = tempfile::tempdir().unwrap();
    let first = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    first.execute_batch(include_str!("first.sql")).unwrap();
    drop(first);
    let lease = Lease::try_take(dir.path(), None).unwrap().unwrap();
    let opened = Store::open(dir.path(), &lease).unwrap();
    assert_eq!(opened.set_aside, None);
    let shown: Vec<String> = opened
        .store
        .runs(Filter::default())
        .await
        .unwrap()
        .iter()
        .map(|line| match line {
            Listed::Run(run) => format!("{} {} {}", run.occurrence.job, run.occurrence.planned_for.timestamp(), {
                run.outcome().map_or_else(|| run.state.word().to_owned(), ToString::to_string)
            }),
            Listed::Skips(skips) => format!("{} {}x {}", skips.job, skips.count, skips.reason),
        })
        .collect();
    assert_eq!(shown, ["backup 120 running", "b 3x still running", "backup 60 failed(1)", "sync 30 succeeded"]);
    assert_eq!(opened.store.unfinished().await.unwrap().len(), 1);
    assert_eq!(opened.store.stopped().await.unwrap(), []);
    assert_eq!(opened.store.watermarks().await.unwrap()[&job("backup")], Watermark { at: at(120), era: 2 });
    assert_eq!(
        (opened.store.era().await.unwrap(), opened.store.meta_get("x").await.unwrap()),
        (2, Some("y".to_owned()))
    );
}

#[tokio::test]
async fn a_store_of_a_newer_release_is_used_as_far_as_it_is_known() {
    let room = closed().await;
    let newer = rusqlite::Connection::open(room.dir.path().join(FILE)).unwrap();
    newer
        .execute_batch(
            "ALTER TABLE runs ADD COLUMN colour TEXT; CREATE TABLE more (x INTEGER); PRAGMA user_version = 999;
             UPDATE runs SET document = json_set(document, '$.colour', 'red');
             UPDATE runs SET state = 'melting', document = json_set(document, '$.state', 'melting')
                 WHERE planned_for = 8;
             UPDATE runs SET state = 'finished', document = json_set(document, '$.state', json('{\"melted\":1}'))
                 WHERE planned_for = 7",
        )
        .unwrap();
    drop(newer);
    let opened = Store::open(room.dir.path(), &room.lease).unwrap();
    assert_eq!(opened.set_aside, None);
    assert_eq!(opened.store.unfinished().await.unwrap().len(), 298);
    assert_eq!(opened.store.runs(Filter::default()).await.unwrap().len(), 298, "what cannot be read is left out");
    opened.store.plan(vec![row("a", 1000)], vec![], vec![], None).await.unwrap();
    let version =
        |c: &rusqlite::Connection| Ok(c.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?);
    assert_eq!(opened.store.thread.read(version).await.unwrap(), 999);
}
