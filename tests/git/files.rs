//! Reading commits, staging them, and what is kept in the git dir.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tender::git::{git_dir, lock, owner, toplevel};

use crate::fixture::{OWNER, Stack, git, listing, root};

#[tokio::test]
async fn a_commit_is_written_aside() {
    let stack = Stack::new();
    let other = Stack::new();
    git(&stack.author, &["submodule", "--quiet", "add", other.remote.to_str().unwrap(), "sub"]);
    let to = stack.push(&[("a", "2\n"), ("run", "#!/bin/sh\n"), ("l", "->a"), ("d/x", "")]);
    stack.examine().await;
    stack.write(&[("x.ignored", "mine")]);
    // nobody but root gets to it by its path
    let stage = tempfile::tempdir().unwrap();
    let dir = stage.path().join("stage");
    fs::create_dir(&dir).unwrap();
    let before = listing(&stack.checkout);
    let from = stack.head();
    stack.tool().materialise(&stack.checkout, &to, &dir).await.unwrap();
    let found: Vec<(String, String)> = listing(&dir)
        .into_iter()
        .map(|(p, w)| (p.display().to_string(), w))
        .filter(|(p, _)| !p.starts_with(".git"))
        .collect();
    let expected = [("a", "0 2\n"), ("l", "-> a"), ("run", "111 #!/bin/sh\n"), ("sub", "dir")];
    let expected: Vec<_> = expected.iter().map(|(p, w)| ((*p).to_owned(), (*w).to_owned())).collect();
    assert_eq!(found, expected);
    if root() {
        assert_eq!(owner(&dir.join("a")).unwrap(), OWNER);
    }
    assert_eq!(listing(&stack.checkout), before);
    stack.holds(&from, &["!! x.ignored"]);
}

#[tokio::test]
async fn a_commit_that_is_quite_different_is_written_aside_too() {
    let stack = Stack::new();
    let from = stack.push(&[("f", "1"), ("g/h", "1"), ("l", "->a")]);
    stack.examine().await;
    stack.tool().switch(&stack.checkout, &stack.head(), &from, false).await.unwrap();
    crate::fixture::lay(&stack.author, &[("f", ""), ("g", ""), ("l", ""), ("a", ""), ("d", "")]);
    let to = stack.push(&[
        ("f/below", "2"),
        ("g", "2"),
        ("l", "file now"),
        (".gitattributes", "*.bat eol=crlf\n"),
        ("deep/.gitattributes", "*.txt eol=crlf\n"),
        ("run.bat", "1\n"),
        ("deep/x.txt", "1\n"),
        ("x.txt", "1\n"),
    ]);
    stack.examine().await;
    let stage = tempfile::tempdir().unwrap();
    stack.tool().materialise(&stack.checkout, &to, stage.path()).await.unwrap();
    let found = listing(stage.path());
    for (path, expected) in [
        ("f/below", "0 2"),
        ("g", "0 2"),
        ("l", "0 file now"),
        ("run.bat", "0 1\r\n"),
        ("deep/x.txt", "0 1\r\n"),
        ("x.txt", "0 1\n"),
    ] {
        assert_eq!(found.get(Path::new(path)).map(String::as_str), Some(expected), "{path}");
    }
    assert!(!stage.path().join("a").exists() && !stage.path().join(".git").exists());
    stack.holds(&from, &[]);
    // the same commit as the one that is checked out
    let stage = tempfile::tempdir().unwrap();
    stack.tool().materialise(&stack.checkout, &from, stage.path()).await.unwrap();
    assert_eq!(listing(stage.path()), listing(&stack.checkout));
    let own: Vec<_> = fs::read_dir(stack.checkout.join(".git")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!own.iter().any(|name| name.to_string_lossy().starts_with(".tmp")), "{own:?}");
}

#[tokio::test]
async fn what_is_no_part_of_any_commit() {
    let stack = Stack::new();
    stack.write(&[("x.ignored", "1"), ("ignored/deep/y", "1"), ("folder/a", "1"), ("folder/b", "1"), ("d/mine", "1")]);
    let mut found = stack.tool().leftovers(&stack.checkout).await.unwrap();
    found.sort();
    assert_eq!(found, ["d/mine", "folder", "ignored", "x.ignored"].map(PathBuf::from));
}

#[tokio::test]
async fn commits_are_read() {
    let stack = Stack::new();
    let (tool, app) = (stack.tool(), &stack.checkout);
    let from = stack.head();
    assert_eq!(tool.head(app).await.unwrap(), from);
    let middle = stack.push(&[("a", "2\n"), ("run", "#!/bin/sh\n")]);
    let to = stack.push(&[("d/x", ""), ("l", "->a")]);
    stack.examine().await;
    let log = tool.log(app, &from, &to, 10).await.unwrap();
    assert_eq!(log, [format!("{} change d/x", &to[..7]), format!("{} change a", &middle[..7])]);
    assert_eq!(tool.log(app, &from, &to, 1).await.unwrap().len(), 1);
    assert_eq!(tool.log(app, &to, &from, 10).await.unwrap(), Vec::<String>::new());
    let changed = tool.changed_files(app, &from, &to).await.unwrap();
    assert_eq!(changed, [('M', "a".into()), ('D', "d/x".into()), ('A', "l".into()), ('A', "run".into())]);
    let file = async |path: &str| tool.file_at(app, &to, Path::new(path)).await.unwrap();
    assert_eq!(file("a").await, Some((b"2\n".to_vec(), false)));
    assert_eq!(file("run").await, Some((b"#!/bin/sh\n".to_vec(), true)));
    for nothing in ["d/x", "l", "nowhere/x", "a/b"] {
        assert_eq!(file(nothing).await, None, "{nothing}");
    }
    let error = tool.file_at(app, "0123456789012345678901234567890123456789", Path::new("a")).await.unwrap_err();
    assert!(format!("{error:#}").contains("there is no commit 0123"), "{error:#}");
}

#[tokio::test]
async fn kept_commits_survive_the_collector() {
    let stack = Stack::new();
    let (tool, app) = (stack.tool(), &stack.checkout);
    let good = stack.push(&[("a", "2\n")]);
    stack.examine().await;
    tool.keep(app, "refs/tender/good/7", &good).await.unwrap();
    tool.keep(app, "refs/tender/good/7", &good).await.unwrap();
    git(&stack.author, &["reset", "-q", "--hard", "HEAD~"]);
    git(&stack.author, &["push", "-q", "-f", "origin", "HEAD:main"]);
    stack.examine().await;
    git(app, &["reflog", "expire", "--expire=now", "--all"]);
    git(app, &["gc", "-q", "--prune=now"]);
    stack.hand_over();
    assert_eq!(tool.kept(app).await.unwrap(), [("refs/tender/good/7".to_owned(), good.clone())]);
    assert_eq!(tool.file_at(app, &good, Path::new("a")).await.unwrap(), Some((b"2\n".to_vec(), false)));
    tool.unkeep(app, "refs/tender/good/7").await.unwrap();
    tool.unkeep(app, "refs/tender/good/7").await.unwrap();
    assert_eq!(tool.kept(app).await.unwrap(), []);
    for name in ["refs/heads/main", "refs/tender/../heads/main", "refs/tender/"] {
        assert!(tool.keep(app, name, &good).await.is_err(), "{name}");
        assert!(tool.unkeep(app, name).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn records_belong_to_the_owner() {
    let stack = Stack::new();
    let (tool, app) = (stack.tool(), &stack.checkout);
    assert_eq!(tool.read_record(app, "deploy.json").await.unwrap(), None);
    tool.write_record(app, "deploy.json", b"{\"a\":\xff}").await.unwrap();
    assert_eq!(tool.read_record(app, "deploy.json").await.unwrap().as_deref(), Some(&b"{\"a\":\xff}"[..]));
    let held = lock(&git_dir(app)).unwrap();
    assert!(held.is_some() && lock(&git_dir(app)).unwrap().is_none());
    assert!(app.join(".git/tender/deploy.json").is_file());
    // nothing of it shows, and all of it is the owner's
    stack.holds(&stack.head(), &[]);
}

#[test]
fn the_owner_cannot_look_into_the_process_with_the_key() {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    if !root() {
        return;
    }
    let stack = Stack::new();
    let mut child = Command::new(crate::fixture::program())
        .arg("git")
        .env_clear()
        .uid(OWNER.0)
        .gid(OWNER.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", serde_json::json!({"checkout": stack.checkout, "what": "head"})).unwrap();
    let mut reply = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut reply).unwrap();
    assert!(reply.contains(&stack.head()), "{reply}");
    assert_eq!(owner(Path::new(&format!("/proc/{}/mem", child.id()))).unwrap().0, 0);
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn linked_worktrees_are_checkouts_too() {
    let stack = Stack::new();
    let linked = stack.dir.path().join("linked");
    git(&stack.checkout, &["worktree", "add", "-q", "--track", "-b", "other", linked.to_str().unwrap(), "origin/main"]);
    stack.hand_over();
    if root() {
        tender::git::give(&linked, OWNER.0, OWNER.1).unwrap();
    }
    assert_eq!(toplevel(&linked.join("d")), Some(linked.clone()));
    assert_eq!(git_dir(&linked), stack.checkout.join(".git/worktrees/linked"));
    let to = stack.push(&[("a", "2\n"), ("new", "1\n")]);
    let tool = stack.tool();
    let from = tool.head(&linked).await.unwrap();
    assert_eq!(tool.examine(&linked).await.verdict.to, Some(to.clone()));
    tool.switch(&linked, &from, &to, false).await.unwrap();
    assert_eq!(git(&linked, &["rev-parse", "HEAD"]), to);
    assert_eq!(git(&linked, &["status", "--porcelain"]), "");
}

#[test]
fn everything_is_given_away() {
    if !root() {
        return;
    }
    let stack = Stack::new();
    stack.write(&[("run", "#!/bin/sh\n"), ("l", "->/etc/hostname")]);
    let before = owner(Path::new("/etc/hostname")).unwrap();
    assert!(tender::git::give(&stack.checkout, 77, 78).unwrap() > 10);
    assert_eq!(tender::git::give(&stack.checkout, 77, 78).unwrap(), 0);
    assert_eq!(owner(&stack.checkout.join(".git/config")).unwrap(), (77, 78));
    assert_eq!(owner(Path::new("/etc/hostname")).unwrap(), before);
    assert_eq!(fs::metadata(stack.checkout.join("run")).unwrap().permissions().mode() & 0o777, 0o755);
}
