//! A disk that is full: nothing stops, nothing is lost, and all is caught up when there is room again.
//! The disks are small file systems in memory, which only the superuser can mount.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::Utc;
use tempfile::TempDir;
use tender::engine::fake::{Gate, Script};
use tender::run::Outcome;
use tender::runner::Event;

use super::house::{House, job, text_of};

/// A disk of its own, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, megabytes: u32) -> Self {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status().unwrap();
        assert!(mounted.success(), "this test mounts a file system, and must be run as root");
        Self(at.to_owned())
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("something large");
        let mut file = File::create(&path).unwrap();
        let mut piece = vec![7; 1 << 20];
        while piece.len() >= 512 {
            match file.write_all(&piece) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => piece.truncate(piece.len() / 2),
                Err(error) => panic!("{error}"),
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Files may still be open: it goes with the last of them.
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

#[tokio::test]
async fn a_full_state_dir_stops_no_job_and_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::mount(dir.path(), 32);
    let house = House::within(dir);
    let ballast = house.settings.state_dir.join("ballast");
    house
        .run(async |house| {
            assert!(ballast.exists(), "there is room for it");
            let gates = [Gate::new(), Gate::new()];
            let talk: String = (0..2000).map(|n| format!("line {n}\n")).collect();
            let script = Script::exits(0).out("before\n").waits(&gates[0]).out(&talk).waits(&gates[1]).out("after\n");
            house.fake.script("going", script);
            house.fake.script("new", Script::exits(3).out("new\n"));
            let jobs = [job("going"), job("new")];
            let mut runner = house.runner();
            let going = house.plan(&mut runner, &jobs, "going", 60).await;
            house.until_logged_while("going", "before\n", &mut runner).await;

            let large = disk.fill();
            assert!(house.store.look_at_disk().is_some(), "the reason is told");
            gates[0].open();
            // A run is planned and begins: the ballast makes room for its row.
            let new = house.row("new", 120);
            let rows = loop {
                match house.store.plan(vec![new.clone()], vec![], vec![], None).await {
                    Ok(rows) => break rows,
                    Err(error) => assert!(!ballast.exists(), "{error:#}"),
                }
            };
            runner.enqueue(rows);
            runner.pump(&jobs, Utc::now()).await.unwrap();
            loop {
                match runner.next_event().await {
                    Event::Started(record) if record.id == new.id => break,
                    Event::Ended(record) => panic!("{record:?} was recorded without its output"),
                    _ => {}
                }
            }
            gates[1].open();
            // Both have ended, and nothing can be stored of what they said. Their containers stay.
            let ended = async { while !matches!(runner.next_event().await, Event::Ended(_)) {} };
            assert!(tokio::time::timeout(Duration::from_secs(2), ended).await.is_err());
            assert_eq!(house.fake.names().len(), 2, "{:?}", house.fake.names());

            fs::remove_file(large).unwrap();
            let records = [house.end_of(&mut runner, &jobs).await, house.end_of(&mut runner, &jobs).await];
            for record in &records {
                let (wanted, said) = if record.id == going.id {
                    (Outcome::Succeeded, format!("before\n{talk}after\n"))
                } else {
                    (Outcome::Failed { code: 3, oom: false }, "new\n".to_owned())
                };
                assert_eq!((record.outcome(), &record.output_note), (Some(&wanted), &None));
                assert_eq!(house.store.get(&record.id).await.unwrap().as_ref(), Some(record));
                assert_eq!(text_of(house.shelf().read(&record.id).unwrap().unwrap()), said);
                let log = house.log(record.occurrence.job.as_str());
                assert!(log.contains(&format!("+00:00\n{said}\n")), "once, and whole: {log}");
            }
            assert_eq!(house.fake.names(), [""; 0]);
            assert_eq!(house.store.look_at_disk(), None);
            assert!(ballast.exists(), "it is made again");
            runner.stop().await;
        })
        .await;
}

#[tokio::test]
async fn a_full_disk_of_the_logs_is_made_up_for() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::mount(&dir.path().join("logs"), 4);
    House::within(dir)
        .run(async |house| {
            let gate = Gate::new();
            let talk: String = (0..60_000).map(|n| format!("line {n}\n")).collect();
            house.fake.script("hello", Script::exits(0).out("before\n").waits(&gate).out(&talk));
            let jobs = [job("hello")];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_logged_while("hello", "before\n", &mut runner).await;
            let large = disk.fill();
            gate.open();
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(record.outcome(), Some(&Outcome::Succeeded), "the log holds up nobody");
            assert_eq!(text_of(house.shelf().read(&row.id).unwrap().unwrap()), format!("before\n{talk}"));
            assert!(!runner.output().trouble().is_empty());
            fs::remove_file(large).unwrap();
            while !runner.output().trouble().is_empty() {
                runner.output().retry();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let log = house.log("hello");
            assert!(log.contains(&format!("+00:00\nbefore\n{talk}\nhello finished START_TIME=")), "once, and whole");
            assert!(log.ends_with(&format!(" outcome=succeeded run={}\n", row.id)));
            runner.stop().await;
        })
        .await;
}

#[tokio::test]
async fn a_scheduler_that_starts_on_a_full_disk_makes_room_for_itself() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::mount(dir.path(), 32);
    let mut house = House::within(dir);
    let ballast = house.settings.state_dir.join("ballast");
    let row = house.store.plan(vec![house.row("hello", 60)], vec![], vec![], None).await.unwrap().remove(0);
    house.close_store().await;
    disk.fill();
    assert!(ballast.exists());
    house.restart();
    assert!(!ballast.exists());
    assert_eq!(house.store.get(&row.id).await.unwrap().as_ref(), Some(&row));
    house.store.ask_to_stop(&row.id).await.unwrap();
}
