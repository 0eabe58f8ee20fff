//! Moving a checkout.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Stdio;

use tender::git::Failure;

use crate::fixture::{OWNER, Stack, git, lay, listing, program, root};

impl Stack {
    /// Fetches, and switches from where it is.
    async fn go(&self, to: &str) -> anyhow::Result<()> {
        self.examine().await;
        self.tool().switch(&self.checkout, &self.head(), to, false).await
    }
}

#[tokio::test]
async fn files_are_rewritten_in_place() {
    let stack = Stack::new();
    stack.write(&[("x.ignored", "mine"), ("ignored/y", "mine")]);
    let before = fs::metadata(stack.checkout.join("a")).unwrap();
    let from = stack.head();
    let to = stack.push(&[("a", "longer\n"), ("d/x", ""), ("e/f/new", "1\n"), ("run", "#!/bin/sh\n"), ("l", "->a")]);
    stack.go(&to).await.unwrap();
    stack.holds(&to, &["!! ignored/y", "!! x.ignored"]);
    let after = fs::metadata(stack.checkout.join("a")).unwrap();
    assert_eq!((after.ino(), after.uid(), after.gid()), (before.ino(), before.uid(), before.gid()));
    assert_eq!(fs::read_to_string(stack.checkout.join("a")).unwrap(), "longer\n");
    assert!(!stack.checkout.join("d").exists());
    if root() {
        let new = fs::metadata(stack.checkout.join("e/f/new")).unwrap();
        assert_eq!((new.uid(), new.gid()), OWNER);
    }
    // back, as a rollback does
    stack.tool().switch(&stack.checkout, &to, &from, false).await.unwrap();
    stack.holds(&from, &["!! ignored/y", "!! x.ignored"]);
    assert_eq!(fs::metadata(stack.checkout.join("a")).unwrap().ino(), before.ino());
    // being there already is fine
    stack.tool().switch(&stack.checkout, &to, &from, false).await.unwrap();
}

#[tokio::test]
async fn files_become_folders_and_the_other_way_round() {
    let stack = Stack::new();
    let from = stack.push(&[("f", "1"), ("g/h/i", "1"), ("l", "->a"), ("m", "x")]);
    stack.go(&from).await.unwrap();
    let to = {
        lay(&stack.author, &[("f", ""), ("g", ""), ("l", ""), ("m", "")]);
        stack.push(&[("f/below", "2"), ("g", "2"), ("l", "file now"), ("m", "#!now executable")])
    };
    stack.go(&to).await.unwrap();
    stack.holds(&to, &[]);
    stack.tool().switch(&stack.checkout, &to, &from, false).await.unwrap();
    stack.holds(&from, &[]);
}

#[tokio::test]
async fn local_files_that_nothing_touches_do_not_matter() {
    let stack = Stack::new();
    let to = stack.push(&[("a", "2\n")]);
    stack.examine().await;
    stack.write(&[("d/x", "mine\n"), ("untracked", "mine")]);
    assert_eq!(stack.tool().can_switch(&stack.checkout, &to).await.unwrap(), Vec::<String>::new());
    stack.go(&to).await.unwrap();
    stack.holds(&to, &[" M d/x", "?? untracked"]);
}

#[tokio::test]
async fn a_missing_file_is_put_back() {
    let stack = Stack::new();
    let to = stack.push(&[("a", "2\n")]);
    stack.write(&[("a", "")]);
    stack.go(&to).await.unwrap();
    stack.holds(&to, &[]);
}

#[tokio::test]
async fn whatever_is_in_the_way_stops_it_before_anything_changes() {
    type Prepare = fn(&Stack);
    let cases: &[(&str, Prepare, &str)] = &[
        ("changed", |s| s.write(&[("a", "mine\n")]), "a has been changed here"),
        ("changed, goes", |s| s.write(&[("gone", "mine\n")]), "gone has been changed here"),
        (
            "staged",
            |s| {
                s.write(&[("a", "mine\n")]);
                git(&s.checkout, &["add", "a"]);
            },
            "a has been changed here",
        ),
        ("untracked", |s| s.write(&[("new", "mine\n")]), "new is not tracked"),
        ("untracked and equal", |s| s.write(&[("new", "2\n")]), "new is not tracked"),
        ("ignored", |s| s.write(&[("new.ignored", "mine\n")]), "new.ignored is not tracked"),
        ("folder for a file", |s| s.write(&[("new/mine", "mine\n")]), "new/mine is in the way of new"),
        ("file for a folder", |s| s.write(&[("deep", "mine\n")]), "deep is in the way of deep/er/new"),
        ("untracked in a folder that goes", |s| s.write(&[("dir/mine", "mine\n")]), "dir/mine is in the way of dir"),
        ("ignored in a folder that goes", |s| s.write(&[("dir/m.ignored", "m")]), "dir/m.ignored is in the way of dir"),
        (
            "a link for a tracked folder",
            |s| {
                fs::rename(s.checkout.join("d"), s.dir.path().join("elsewhere")).unwrap();
                symlink(s.dir.path().join("elsewhere"), s.checkout.join("d")).unwrap();
            },
            "d is in the way of d/x",
        ),
        ("a lock", |s| s.write(&[(".git/index.lock", "1")]), "index.lock exists"),
        ("a lock of the branch", |s| s.write(&[(".git/refs/heads/main.lock", "1")]), "main.lock exists"),
        ("a merge", |s| s.write(&[(".git/MERGE_HEAD", &format!("{}\n", s.head()))]), "a merge is under way"),
    ];
    let mut stack = Stack::new();
    let base = stack.push(&[("gone", "1\n"), ("dir/tracked", "1\n")]);
    stack.go(&base).await.unwrap();
    lay(&stack.author, &[("gone", ""), ("dir", "")]);
    let to = stack.push(&[
        ("a", "2\n"),
        ("d/x", "2\n"),
        ("new", "2\n"),
        ("new.ignored", "2\n"),
        ("deep/er/new", "2\n"),
        ("dir", "2\n"),
    ]);
    stack.examine().await;
    let original = stack.checkout.clone();
    for (name, prepare, expected) in cases {
        stack.with_copy_of(&original, name);
        prepare(&stack);
        let before = listing(&stack.checkout);
        let found = stack.tool().can_switch(&stack.checkout, &to).await.unwrap();
        assert!(found.iter().any(|why| why.contains(expected)), "{name}: {found:?}");
        let error = stack.tool().switch(&stack.checkout, &base, &to, false).await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Failure::Obstacles(_))), "{name}: {error:#}");
        assert_eq!(listing(&stack.checkout), before, "{name}");
        assert_eq!(stack.head(), base, "{name}");
    }
}

#[tokio::test]
async fn files_that_may_not_be_written_stop_it_too() {
    if !root() {
        return;
    }
    for path in ["a", "d", ".git"] {
        let stack = Stack::new();
        let from = stack.head();
        let to = stack.push(&[("a", "2\n"), ("d/new", "2\n")]);
        stack.examine().await;
        std::os::unix::fs::chown(stack.checkout.join(path), Some(0), Some(0)).unwrap();
        let error = stack.tool().switch(&stack.checkout, &from, &to, false).await.unwrap_err();
        assert!(format!("{error:#}").contains(&format!("/{path}")), "{path}: {error:#}");
        assert_eq!(stack.head(), from);
        assert!(!stack.checkout.join("d/new").exists());
    }
}

#[tokio::test]
async fn a_checkout_that_somebody_moved_is_left_alone() {
    let stack = Stack::new();
    let from = stack.head();
    let to = stack.push(&[("a", "2\n")]);
    stack.examine().await;
    git(&stack.checkout, &["commit", "-q", "--allow-empty", "-m", "local"]);
    stack.hand_over();
    let local = stack.head();
    for resume in [false, true] {
        let error = stack.tool().switch(&stack.checkout, &from, &to, resume).await.unwrap_err();
        assert!(format!("{error:#}").contains("somebody has moved it"), "{error:#}");
        stack.holds(&local, &[]);
    }
    git(&stack.checkout, &["checkout", "-q", "--detach", &from]);
    stack.hand_over();
    let error = stack.tool().switch(&stack.checkout, &from, &to, false).await.unwrap_err();
    assert!(format!("{error:#}").contains("pinned"), "{error:#}");
}

/// Two commits between which everything happens that can happen to a path.
async fn eventful() -> (Stack, String, String) {
    let stack = Stack::new();
    let many: Vec<(String, String)> =
        (0..200).map(|i| (format!("many/{}/{i}", i % 20), format!("{i}\n").repeat(50))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    lay(&stack.author, &many);
    let from =
        stack.push(&[("f", "1"), ("g/h/i", "1"), ("g/j", "1"), ("l", "->a"), ("gone/only", "1"), ("keep/x", "1")]);
    stack.go(&from).await.unwrap();
    lay(&stack.author, &[("f", ""), ("g", ""), ("l", ""), ("gone", ""), ("keep/x", "")]);
    let more: Vec<(String, String)> =
        (0..300).map(|i| (format!("many/{}/{}", i % 20, i + 100), format!("{i} new\n").repeat(90))).collect();
    let more: Vec<(&str, &str)> = more.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    lay(&stack.author, &more);
    let to = stack.push(&[("a", "2\n"), ("f/below", "2"), ("g", "2"), ("l", "file now"), ("new/deep/x", "2")]);
    stack.examine().await;
    stack.write(&[("x.ignored", "mine"), ("keep/m.ignored", "mine"), ("many/0/m.ignored", "mine")]);
    (stack, from, to)
}

const MINE: &[&str] = &["!! keep/m.ignored", "!! many/0/m.ignored", "!! x.ignored"];

#[tokio::test]
async fn a_killed_switch_is_finished_or_taken_back() {
    let (mut stack, from, to) = eventful().await;
    let original = stack.checkout.clone();
    for (round, back) in [(0, false), (1, true), (2, false), (3, true)] {
        stack.with_copy_of(&original, &format!("round-{round}"));
        let mut child = std::process::Command::new(program());
        child.arg("git").env_clear().env("HOME", "/nonexistent").stdin(Stdio::piped()).stdout(Stdio::null());
        if root() {
            use std::os::unix::process::CommandExt;
            child.uid(OWNER.0).gid(OWNER.1);
        }
        let mut child = child.spawn().unwrap();
        let request = serde_json::json!({
            "checkout": stack.checkout, "what": {"switch": {"from": from, "to": to, "resume": false}}
        });
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, format!("{request}\n").as_bytes()).unwrap();
        // the first change on disk is the signal; the rounds wait for changes further on
        let sign = ["gone/only", "many/1/121", "f/below", "many/9/389"][round];
        let changed = || match sign {
            "gone/only" => !stack.checkout.join(sign).exists(),
            "many/1/121" => fs::read(stack.checkout.join(sign)).is_ok_and(|text| !text.starts_with(b"121\n")),
            _ => stack.checkout.join(sign).exists(),
        };
        while !changed() {
            assert!(child.try_wait().unwrap().is_none(), "round {round}: it ended without {sign}");
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (a, b) = if back { (&to, &from) } else { (&from, &to) };
        stack.tool().switch(&stack.checkout, a, b, true).await.unwrap();
        stack.holds(b, MINE);
        // once more changes nothing
        stack.tool().switch(&stack.checkout, a, b, true).await.unwrap();
        stack.holds(b, MINE);
    }
}

#[tokio::test]
async fn every_half_done_state_is_finished() {
    let (mut stack, from, to) = eventful().await;
    let original = stack.checkout.clone();
    let new = tempfile::tempdir().unwrap();
    stack.tool().materialise(&stack.checkout, &to, new.path()).await.unwrap();
    // (what is on disk of the new commit, index of the new commit, branch at the new commit)
    for (files, index, branch) in
        [(0, false, false), (1, false, false), (2, false, false), (2, true, false), (2, true, true), (1, true, true)]
    {
        for back in [false, true] {
            stack.with_copy_of(&original, &format!("{files}{index}{branch}{back}"));
            let all = git(&stack.checkout, &["diff", "--name-status", "--no-renames", &from, &to]);
            let mut lines: Vec<&str> = all.lines().collect();
            // deletions first, as libgit2 does
            lines.sort_by_key(|line| !line.starts_with('D'));
            for line in &lines[..lines.len() * files / 2] {
                let (status, path) = line.split_once('\t').unwrap();
                let full = stack.checkout.join(path);
                let _ = fs::remove_file(&full);
                if status == "D" {
                    let _ = fs::remove_dir(full.parent().unwrap());
                    let _ = fs::remove_dir(full.parent().unwrap().parent().unwrap());
                } else {
                    fs::create_dir_all(full.parent().unwrap()).unwrap();
                    fs::copy(new.path().join(path), &full).unwrap();
                }
            }
            if index {
                git(&stack.checkout, &["read-tree", &to]);
            }
            if branch {
                git(&stack.checkout, &["update-ref", "refs/heads/main", &to]);
            }
            if files == 2 && !index && !back {
                // left by one that was killed while it wrote the index
                lay(&stack.checkout, &[(".git/index.lock", "half")]);
            }
            stack.give_checkout();
            let (a, b) = if back { (&to, &from) } else { (&from, &to) };
            stack.tool().switch(&stack.checkout, a, b, true).await.unwrap();
            stack.holds(b, MINE);
        }
    }
}

#[tokio::test]
async fn a_child_that_does_not_end_is_killed() {
    let stack = Stack::new();
    let options = tender::git::GitOptions {
        // takes the request and never answers
        program: std::path::PathBuf::from("/bin/sh"),
        deadline: std::time::Duration::from_millis(300),
        ..stack.options()
    };
    fs::create_dir_all(stack.dir.path().join("bin")).unwrap();
    let script = stack.dir.path().join("bin/slow");
    lay(stack.dir.path(), &[("bin/slow", "#!/bin/sh\nexec sleep 600\n")]);
    let tool = tender::git::Git::new(tender::git::GitOptions { program: script, ..options });
    let error = tool.head(&stack.checkout).await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Failure::TimedOut(_))), "{error:#}");
    // one that dies says how
    lay(stack.dir.path(), &[("bin/dead", "#!/bin/sh\necho oh no >&2\nexit 7\n")]);
    let tool = tender::git::Git::new(tender::git::GitOptions {
        program: stack.dir.path().join("bin/dead"),
        ..stack.options()
    });
    let error = format!("{:#}", tool.head(&stack.checkout).await.unwrap_err());
    assert!(error.contains("oh no") && error.contains('7'), "{error}");
}
