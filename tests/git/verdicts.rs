//! What is said about a checkout.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use tender::git::{Failure, Git, GitOptions};
use tender::run::Verdict;

use crate::fixture::{Stack, git};

#[tokio::test]
async fn equal_behind_and_ahead() {
    let stack = Stack::new();
    assert_eq!(stack.verdict().await, (Verdict::UpToDate, String::new()));
    let from = stack.head();
    let to = stack.push(&[("a", "2\n"), ("d/x", ""), ("new", "1\n")]);
    let found = stack.examine().await;
    assert_eq!(found.verdict.verdict, Verdict::Behind, "{found:?}");
    assert_eq!((found.verdict.from, found.verdict.to), (Some(from), Some(to)));
    assert_eq!(found.verdict.follow, "branch main");
    assert_eq!((found.branch.as_deref(), found.upstream.as_deref()), (Some("main"), Some("origin/main")));
    assert_eq!(found.changed_files, [('M', "a".into()), ('D', "d/x".into()), ('A', "new".into())]);
    assert_eq!(found.verdict.reason.as_deref(), Some("1 commit behind origin/main"));
    git(&stack.checkout, &["pull", "-q"]);
    git(&stack.checkout, &["commit", "-q", "--allow-empty", "-m", "local"]);
    stack.hand_over();
    assert_eq!(stack.verdict().await, (Verdict::UpToDate, "1 commit ahead of origin/main".into()));
}

#[tokio::test]
async fn diverged() {
    let stack = Stack::new();
    stack.push(&[("a", "2\n")]);
    git(&stack.checkout, &["commit", "-q", "--allow-empty", "-m", "local"]);
    stack.hand_over();
    let (verdict, reason) = stack.verdict().await;
    assert_eq!(verdict, Verdict::Diverged);
    assert!(reason.starts_with("1 commit of its own and 1 commit behind"), "{reason}");
}

#[tokio::test]
async fn force_pushed_to_another_history() {
    let stack = Stack::new();
    git(&stack.author, &["commit", "-q", "--amend", "-m", "other"]);
    git(&stack.author, &["push", "-q", "-f", "origin", "HEAD:main"]);
    assert_eq!(stack.verdict().await.0, Verdict::Diverged);
}

#[tokio::test]
async fn force_pushed_back_is_not_ahead() {
    let stack = Stack::new();
    let first = stack.head();
    stack.push(&[("a", "2\n")]);
    git(&stack.checkout, &["pull", "-q"]);
    stack.hand_over();
    git(&stack.author, &["push", "-q", "-f", "origin", &format!("{first}:main")]);
    for look in 0..3 {
        let (verdict, reason) = stack.verdict().await;
        assert_eq!(verdict, Verdict::Diverged, "look {look}");
        assert!(reason.contains("force-pushed"), "{reason}");
    }
    git(&stack.checkout, &["reset", "-q", "--hard", &first]);
    stack.hand_over();
    assert_eq!(stack.verdict().await.0, Verdict::UpToDate);
}

#[tokio::test]
async fn dirty() {
    let stack = Stack::new();
    stack.write(&[("x.ignored", "1"), ("ignored/deep/x", "1")]);
    assert_eq!(stack.verdict().await.0, Verdict::UpToDate);
    stack.write(&[("a", "local\n")]);
    assert_eq!(stack.verdict().await, (Verdict::Dirty, "changed here: a".into()));
    stack.push(&[("d/x", "2\n")]);
    assert_eq!(stack.verdict().await.0, Verdict::Dirty);
    git(&stack.checkout, &["checkout", "-q", "a"]);
    stack.write(&[("untracked", "1")]);
    assert_eq!(stack.verdict().await, (Verdict::Dirty, "changed here: untracked".into()));
    stack.write(&[("untracked.template", "t")]);
    let (_, why) = stack.verdict().await;
    assert!(why.contains("untracked (made from its .template: add it to .gitignore)"), "{why}");
    std::fs::remove_file(stack.checkout.join("untracked.template")).unwrap();
    stack.write(&[("untracked", ""), ("d/x", "")]);
    assert_eq!(stack.verdict().await.0, Verdict::Dirty);
    git(&stack.checkout, &["checkout", "-q", "d/x"]);
    stack.hand_over();
    assert_eq!(stack.verdict().await.0, Verdict::Behind);
}

#[tokio::test]
async fn folders_that_only_a_service_can_read_are_no_trouble() {
    use std::os::unix::fs::{PermissionsExt, chown};
    if !crate::fixture::root() {
        return;
    }
    let stack = Stack::new();
    let to = stack.push(&[(".gitignore", "data/\nother/*\n")]);
    stack.examine().await;
    stack.tool().switch(&stack.checkout, &stack.head(), &to, false).await.unwrap();
    for name in ["data", "other/pg", "d/untracked"] {
        let dir = stack.checkout.join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("x"), "x").unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&dir, Some(999), Some(999)).unwrap();
        assert_eq!(stack.verdict().await, (Verdict::UpToDate, String::new()), "{name}");
        let leftovers = stack.tool().leftovers(&stack.checkout).await.unwrap();
        assert!(leftovers.iter().any(|path| dir.starts_with(stack.checkout.join(path))), "{name}: {leftovers:?}");
        let next = stack.push(&[("a", name)]);
        stack.examine().await;
        stack.tool().switch(&stack.checkout, &stack.head(), &next, false).await.unwrap();
        assert_eq!(fs::read_to_string(dir.join("x")).unwrap(), "x");
    }
}

#[tokio::test]
async fn pinned() {
    let stack = Stack::new();
    git(&stack.checkout, &["checkout", "-q", "--detach"]);
    stack.hand_over();
    stack.push(&[("a", "2\n")]);
    assert_eq!(stack.verdict().await.0, Verdict::Pinned);
}

#[tokio::test]
async fn without_an_upstream() {
    let stack = Stack::new();
    git(&stack.checkout, &["checkout", "-q", "-b", "own"]);
    stack.hand_over();
    assert_eq!(stack.verdict().await, (Verdict::NoUpstream, "the branch own has no upstream".into()));
}

#[tokio::test]
async fn whose_upstream_was_deleted() {
    let stack = Stack::new();
    git(&stack.author, &["push", "-q", "origin", "HEAD:main2", ":main"]);
    let (verdict, reason) = stack.verdict().await;
    assert_eq!(verdict, Verdict::NoUpstream);
    assert!(reason.contains("origin/main"), "{reason}");
}

#[tokio::test]
async fn missing_and_no_checkouts_at_all() {
    let stack = Stack::new();
    let tool = stack.tool();
    let verdict = async |path: PathBuf| tool.examine(&path).await.verdict.verdict;
    assert_eq!(verdict(stack.dir.path().join("nowhere")).await, Verdict::Missing);
    // inside a repo, yet none itself
    assert_eq!(verdict(stack.checkout.join("d")).await, Verdict::NotARepo);
    assert_eq!(verdict(stack.remote.clone()).await, Verdict::NotARepo);
    fs::create_dir_all(stack.dir.path().join("broken/.git")).unwrap();
    assert_eq!(verdict(stack.dir.path().join("broken")).await, Verdict::NotARepo);
}

#[tokio::test]
async fn unknown_until_the_remote_is_back() {
    let stack = Stack::new();
    let away = stack.dir.path().join("away");
    fs::rename(&stack.remote, &away).unwrap();
    let found = stack.examine().await;
    assert_eq!(found.verdict.verdict, Verdict::Unknown);
    assert!(matches!(found.failure, Some(Failure::Unreachable(_))), "{found:?}");
    // what is known here is still known
    assert_eq!(stack.tool().look(&stack.checkout).await.verdict.verdict, Verdict::UpToDate);
    fs::rename(&away, &stack.remote).unwrap();
    assert_eq!(stack.verdict().await.0, Verdict::UpToDate);
}

#[tokio::test]
async fn a_look_asks_nobody() {
    let stack = Stack::new();
    let to = stack.push(&[("a", "2\n")]);
    assert_eq!(stack.tool().look(&stack.checkout).await.verdict.verdict, Verdict::UpToDate);
    stack.examine().await;
    let found = stack.tool().look(&stack.checkout).await;
    assert_eq!((found.verdict.verdict, found.verdict.to), (Verdict::Behind, Some(to)));
}

#[tokio::test]
async fn conditional_triggers() {
    let stack = Stack::new();
    let options = GitOptions { compose_dir: Some(stack.checkout.join("deep/stack")), ..stack.options() };
    let tool = Git::new(options);
    let trigger = async || tool.examine(&stack.checkout).await.trigger.map(|t| (t.path, t.content));
    // not executable: none
    stack.push(&[("autodeploy/conditional-trigger", "no script")]);
    assert_eq!(trigger().await, None);
    stack.push(&[("deep/stack/autodeploy/conditional-trigger", "#!/bin/sh\nexit 1\n")]);
    let expected = ("deep/stack/autodeploy/conditional-trigger".to_owned(), b"#!/bin/sh\nexit 1\n".to_vec());
    assert_eq!(trigger().await, Some(expected));
    stack.push(&[("autodeploy/conditional-trigger", "#!/bin/sh\n")]);
    assert_eq!(trigger().await.unwrap().0, "autodeploy/conditional-trigger");
    // the checkout's own copy is not asked, and nothing is when there is nothing new
    git(&stack.checkout, &["pull", "-q"]);
    stack.hand_over();
    assert_eq!(trigger().await, None);
}

#[tokio::test]
async fn notes_about_what_git_alone_cannot_bring() {
    let stack = Stack::new();
    stack.push(&[(".gitattributes", "*.bin filter=lfs diff=lfs\n")]);
    let notes = stack.examine().await.notes;
    assert!(notes.len() == 1 && notes[0].contains("git-lfs"), "{notes:?}");
}

#[tokio::test]
async fn many_in_their_order() {
    let (one, two) = (Stack::new(), Stack::new());
    two.push(&[("a", "2\n")]);
    let nowhere = one.dir.path().join("nowhere");
    let paths = vec![one.checkout.clone(), nowhere, two.checkout.clone(), one.checkout.join("d")];
    let found = one.tool().examine_all(&paths).await;
    let verdicts: Vec<_> = found.iter().map(|f| (f.verdict.path.clone(), f.verdict.verdict)).collect();
    let expected = [Verdict::UpToDate, Verdict::Missing, Verdict::Behind, Verdict::NotARepo];
    assert_eq!(verdicts, paths.into_iter().zip(expected).collect::<Vec<_>>());
}

#[tokio::test]
async fn another_users_leftovers_are_named() {
    if !crate::fixture::root() {
        return;
    }
    let stack = Stack::new();
    stack.push(&[("a", "2\n")]);
    // what `git pull` by root leaves
    git(&stack.checkout, &["fetch", "-q"]);
    let git_dir = stack.checkout.join(".git");
    std::os::unix::fs::chown(git_dir.join("objects"), Some(0), Some(0)).unwrap();
    stack.push(&[("a", "3\n")]);
    let (verdict, reason) = stack.verdict().await;
    assert_eq!(verdict, Verdict::Unknown);
    assert!(reason.contains("belongs to user 0") && reason.contains("chown -R 1234:1235"), "{reason}");
}

#[tokio::test]
async fn credentials_in_an_address_are_not_shown() {
    let stack = Stack::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://bob:hunter2@{}/repo.git", server.local_addr().unwrap());
    git(&stack.checkout, &["remote", "set-url", "origin", &url]);
    stack.hand_over();
    let answers = std::thread::spawn(move || {
        let (stream, _) = server.accept().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(&stream).lines();
        while let Some(Ok(line)) = lines.next() {
            if line.is_empty() {
                break;
            }
            said.push_str(&line);
        }
        (&stream).write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        said
    });
    let (verdict, reason) = stack.verdict().await;
    assert_eq!(verdict, Verdict::Unknown);
    assert!(reason.contains("500") && !reason.contains("hunter2"), "{reason}");
    assert!(answers.join().unwrap().contains("GET /repo.git/info/refs"));
}

#[tokio::test]
async fn tokens_come_from_files_and_reach_no_text() {
    let stack = Stack::new();
    let keys = stack.dir.path().join("keys");
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("app_token"), "bob:s3cret\n").unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/repo.git", server.local_addr().unwrap());
    git(&stack.checkout, &["remote", "set-url", "origin", &url]);
    stack.hand_over();
    // refuses everybody, and tells who knocked
    let heard = std::thread::spawn(move || {
        let mut heard = Vec::new();
        while heard.len() < 2 {
            let (stream, _) = server.accept().unwrap();
            let mut lines = BufReader::new(&stream).lines();
            let mut authorization = String::new();
            while let Some(Ok(line)) = lines.next() {
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("Authorization: ") {
                    authorization = value.to_owned();
                }
            }
            heard.push(authorization);
            let answer = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            (&stream).write_all(answer.as_bytes()).unwrap();
        }
        heard
    });
    let tool = Git::new(GitOptions { key_dir: Some(keys), deadline: Duration::from_secs(20), ..stack.options() });
    let found = tool.examine(&stack.checkout).await;
    assert!(matches!(found.failure, Some(Failure::Auth(_))), "{found:?}");
    let text = format!("{found:?}");
    assert!(!text.contains("s3cret"), "{text}");
    // base64 of bob:s3cret
    assert_eq!(heard.join().unwrap(), ["", "Basic Ym9iOnMzY3JldA=="]);
}
