//! Remotes over ssh.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tender::git::{Failure, Git, GitOptions, HostKeyPolicy};
use tender::run::Verdict;

use crate::fixture::{Stack, git};
use crate::sshd::{ED25519, SHORT, Sshd, counting, key_dir, keygen, serve, silent, url};

const ENV: &str = "AcceptEnv GIT_PROTOCOL";

impl Stack {
    /// The checkout's remote is over ssh from now on.
    fn over(&self, url: &str) {
        git(&self.checkout, &["remote", "set-url", "origin", url]);
        self.give_checkout();
    }

    fn with_keys(&self, keys: &Path) -> GitOptions {
        GitOptions { key_dir: Some(keys.to_path_buf()), deadline: Duration::from_secs(30), ..self.options() }
    }
}

/// A stack whose checkout follows an sshd by a deploy key.
fn served(settings: &str) -> (Stack, Sshd, PathBuf, String) {
    let stack = Stack::new();
    let (keys, public) = key_dir(stack.dir.path(), "app");
    let sshd = Sshd::start(&[(&public, serve(&stack.remote))], settings);
    stack.over(&sshd.url());
    (stack, sshd, keys, public)
}

#[tokio::test]
async fn each_checkout_has_its_key() {
    let (one, two) = (Stack::new(), Stack::new());
    let (keys, first) = key_dir(one.dir.path(), "app");
    fs::rename(&two.checkout, two.dir.path().join("other")).unwrap();
    let other = two.dir.path().join("other");
    let second = keygen(&keys.join("id_rsa_git_ssh_read_only"), ED25519);
    let sshd = Sshd::start(&[(&first, serve(&one.remote)), (&second, serve(&two.remote))], ENV);
    one.over(&sshd.url());
    git(&other, &["remote", "set-url", "origin", &sshd.url()]);
    let (a, b) = (one.push(&[("a", "from one\n")]), two.push(&[("a", "from two\n")]));
    let tool = Git::new(one.with_keys(&keys));
    for round in 0..2 {
        let found = tool.examine_all(&[one.checkout.clone(), other.clone()]).await;
        assert_eq!(found[0].verdict.to.as_ref(), Some(&a), "round {round}: {:?}", found[0]);
        assert_eq!(found[1].verdict.to.as_ref(), Some(&b), "round {round}: {:?}", found[1]);
        assert_eq!(found[0].verdict.verdict, Verdict::Behind);
    }
    let from = one.head();
    tool.switch(&one.checkout, &from, &a, false).await.unwrap();
    one.holds(&a, &[]);
}

#[tokio::test]
async fn a_server_of_the_old_protocol_serves_too() {
    let (stack, _sshd, keys, _) = served("");
    let tool = Git::new(stack.with_keys(&keys));
    assert_eq!(tool.examine(&stack.checkout).await.verdict.verdict, Verdict::UpToDate);
    let to = stack.push(&[("a", "2\n")]);
    assert_eq!(tool.examine(&stack.checkout).await.verdict.to, Some(to.clone()));
    git(&stack.author, &["commit", "-q", "--amend", "-m", "other"]);
    git(&stack.author, &["push", "-q", "-f", "origin", "HEAD:main"]);
    let found = tool.examine(&stack.checkout).await;
    assert_eq!(found.verdict.verdict, Verdict::Behind, "{found:?}");
    assert_ne!(found.verdict.to, Some(to));
    git(&stack.author, &["push", "-q", "origin", "HEAD:main2", ":main"]);
    assert_eq!(tool.examine(&stack.checkout).await.verdict.verdict, Verdict::NoUpstream);
}

#[tokio::test]
async fn much_is_fetched_whole() {
    let (stack, _sshd, keys, _) = served(ENV);
    let tool = Git::new(stack.with_keys(&keys));
    // does not compress: several hundred packets
    let mut state = 1_u64;
    let big: String = (0..1_500_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + (state >> 40) as u8 % 90)
        })
        .collect();
    stack.push(&[("big", &big)]);
    let to = stack.push(&[("big2", &big.chars().rev().collect::<String>())]);
    assert_eq!(tool.examine(&stack.checkout).await.verdict.to, Some(to.clone()));
    let from = stack.head();
    tool.switch(&stack.checkout, &from, &to, false).await.unwrap();
    stack.holds(&to, &[]);
    assert_eq!(fs::read_to_string(stack.checkout.join("big")).unwrap(), big);
    // rewritten history shares old commits only
    git(&stack.author, &["reset", "-q", "--hard", "HEAD~"]);
    let other = stack.commit(&[("a", "3\n")]);
    git(&stack.author, &["push", "-q", "-f", "origin", "HEAD:main"]);
    let found = tool.examine(&stack.checkout).await;
    assert_eq!((found.verdict.verdict, found.verdict.to), (Verdict::Diverged, Some(other)));
    stack.holds(&to, &[]);
}

#[tokio::test]
async fn shallow_checkouts_are_served() {
    let stack = Stack::new();
    stack.push(&[("a", "2\n")]);
    stack.push(&[("a", "3\n")]);
    fs::remove_dir_all(&stack.checkout).unwrap();
    let origin = format!("file://{}", stack.remote.display());
    git(stack.dir.path(), &["clone", "-q", "--depth=1", &origin, "app"]);
    let (keys, public) = key_dir(stack.dir.path(), "app");
    for settings in [ENV, ""] {
        let sshd = Sshd::start(&[(&public, serve(&stack.remote))], settings);
        stack.over(&sshd.url());
        let tool = Git::new(stack.with_keys(&keys));
        let to = stack.push(&[("a", if settings.is_empty() { "5\n" } else { "4\n" })]);
        let found = tool.examine(&stack.checkout).await;
        assert_eq!(
            (found.verdict.verdict, found.verdict.to),
            (Verdict::Behind, Some(to.clone())),
            "{:?}",
            found.failure
        );
        tool.switch(&stack.checkout, &stack.head(), &to, false).await.unwrap();
        stack.holds(&to, &[]);
    }
}

#[tokio::test]
async fn keys_of_all_forms() {
    let stack = Stack::new();
    let keys = stack.dir.path().join("keys");
    let forms: &[(&str, &[&str])] = &[
        ("ed25519", ED25519),
        ("rsa", &["-t", "rsa", "-b", "3072", "-N", "", "-C", ""]),
        ("pem", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-C", ""]),
        ("ecdsa", &["-t", "ecdsa", "-b", "256", "-N", "", "-C", ""]),
    ];
    fs::create_dir(&keys).unwrap();
    let public: Vec<String> = forms.iter().map(|(name, options)| keygen(&keys.join(name), options)).collect();
    let allowed: Vec<(&str, String)> = public.iter().map(|key| (key.as_str(), serve(&stack.remote))).collect();
    let sshd = Sshd::start(&allowed, ENV);
    stack.over(&sshd.url());
    let tool = Git::new(stack.with_keys(&keys));
    for (name, _) in forms {
        // as an editor on another system leaves it
        let text = fs::read_to_string(keys.join(name)).unwrap().replace('\n', "\r\n");
        fs::write(keys.join("app_deploy_key"), text.trim_end()).unwrap();
        let found = tool.examine(&stack.checkout).await;
        assert_eq!(found.verdict.verdict, Verdict::UpToDate, "{name}: {:?}", found.verdict.reason);
    }
}

#[tokio::test]
async fn keys_that_do_not_fit_are_named() {
    let (stack, _sshd, keys, _) = served(ENV);
    let tool = Git::new(stack.with_keys(&keys));
    let key = keys.join("app_deploy_key");
    let refusal = async || match tool.examine(&stack.checkout).await.failure {
        Some(Failure::Auth(why)) => why,
        other => panic!("{other:?}"),
    };
    fs::remove_file(&key).unwrap();
    let why = refusal().await;
    assert!(why.contains("no deploy key") && why.contains(key.to_str().unwrap()), "{why}");
    keygen(&key, ED25519);
    let why = refusal().await;
    assert!(why.contains("refused the key") && why.contains("app_deploy_key"), "{why}");
    fs::remove_file(&key).unwrap();
    keygen(&key, &["-t", "ed25519", "-N", "secret", "-C", ""]);
    let why = refusal().await;
    assert!(why.contains("passphrase"), "{why}");
    fs::write(&key, "not a key at all\n").unwrap();
    let why = refusal().await;
    assert!(why.contains("cannot be used"), "{why}");
}

#[tokio::test]
async fn new_hosts_are_remembered_and_changed_ones_refused() {
    let (stack, sshd, keys, public) = served(ENV);
    let tool = Git::new(stack.with_keys(&keys));
    let learnt = stack.options().known_hosts;
    assert_eq!(tool.examine(&stack.checkout).await.verdict.verdict, Verdict::UpToDate);
    let text = fs::read_to_string(&learnt).unwrap();
    assert_eq!(text.trim_end(), sshd.host_key("ed25519").trim_end());
    tool.examine(&stack.checkout).await;
    assert_eq!(fs::read_to_string(&learnt).unwrap(), text);

    let sshd = sshd.with_new_host_key(&[(&public, serve(&stack.remote))]);
    for _ in 0..2 {
        let found = tool.examine(&stack.checkout).await;
        assert_eq!(found.verdict.verdict, Verdict::Unknown);
        let Some(Failure::HostKeyChanged(why)) = found.failure else { panic!("{found:?}") };
        assert!(why.contains("CHANGED") && why.contains(&format!("[127.0.0.1]:{}", sshd.port)), "{why}");
    }
    assert_eq!(fs::read_to_string(&learnt).unwrap(), text);
}

#[tokio::test]
async fn strict_takes_only_what_is_known() {
    let (stack, sshd, keys, _) = served(ENV);
    let tool = Git::new(GitOptions { host_keys: HostKeyPolicy::Strict, ..stack.with_keys(&keys) });
    let found = tool.examine(&stack.checkout).await;
    assert!(matches!(found.failure, Some(Failure::HostKeyUnknown(_))), "{found:?}");
    assert!(!stack.options().known_hosts.exists());
    // only the key of one type is known, and it is not the one that is offered first
    fs::write(keys.join("known_hosts"), format!("# ours\nrubbish\n{}", sshd.host_key("rsa"))).unwrap();
    let found = tool.examine(&stack.checkout).await;
    assert_eq!(found.verdict.verdict, Verdict::UpToDate, "{found:?}");
    fs::write(keys.join("known_hosts"), format!("@revoked {}", sshd.host_key("ed25519"))).unwrap();
    let accepting = Git::new(stack.with_keys(&keys));
    let found = accepting.examine(&stack.checkout).await;
    let Some(Failure::HostKeyChanged(why)) = found.failure else { panic!("{found:?}") };
    assert!(why.contains("revoked"), "{why}");
}

#[tokio::test]
async fn a_poll_of_five_thousand_refs_costs_little() {
    let (stack, sshd, keys, _) = served(ENV);
    let head = stack.head();
    let refs: String = (0..5_000).map(|i| format!("{head} refs/heads/topic/number-{i}\n")).collect();
    fs::write(stack.remote.join("packed-refs"), format!("# pack-refs with: peeled fully-peeled sorted \n{refs}"))
        .unwrap();
    assert!(git(&stack.remote, &["for-each-ref"]).lines().count() > 5_000);
    let (port, down, connections) = counting(sshd.port);
    stack.over(&url(port));
    let tool = Git::new(stack.with_keys(&keys));
    let found = tool.examine(&stack.checkout).await;
    assert_eq!(found.verdict.verdict, Verdict::UpToDate, "{found:?}");
    let bytes = down.swap(0, Ordering::SeqCst);
    assert!(bytes > 500 && bytes <= 4_096, "{bytes} bytes");
    // on a session in use: ten polls of one process, one key exchange
    let many: Vec<PathBuf> = vec![stack.checkout.clone(); 4 * 10];
    let found = tool.examine_all(&many).await;
    assert!(found.iter().all(|f| f.verdict.verdict == Verdict::UpToDate), "{found:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 1 + 4);
    // in how many packets the server says it depends on the load; all refs would be 250 kB a poll
    let bytes = down.load(Ordering::SeqCst);
    assert!(bytes <= 40 * 4_096, "{bytes} bytes");
}

#[tokio::test]
async fn a_remote_that_says_nothing_ends_at_the_deadline() {
    let stack = Stack::new();
    let (keys, public) = key_dir(stack.dir.path(), "app");
    let tool = Git::new(GitOptions { deadline: SHORT, ..stack.with_keys(&keys) });
    let stuck = Sshd::start(&[(&public, "cat >/dev/null".to_owned())], "");
    // before the greeting, after it, and after the login
    for port in [silent(b""), silent(b"SSH-2.0-slow\r\n"), stuck.port] {
        stack.over(&url(port));
        let began = Instant::now();
        let found = tool.examine(&stack.checkout).await;
        let took = began.elapsed();
        assert_eq!(found.verdict.verdict, Verdict::Unknown, "{found:?}");
        let why = found.verdict.reason.unwrap();
        assert!(why.contains("127.0.0.1"), "{why}");
        assert!(took < SHORT + Duration::from_secs(1), "{took:?}: {why}");
    }
    // a web server as well, where only the kill helps
    stack.over(&format!("http://127.0.0.1:{}/repo.git", silent(b"")));
    let began = Instant::now();
    let found = tool.examine(&stack.checkout).await;
    assert!(matches!(found.failure, Some(Failure::TimedOut(_))), "{found:?}");
    assert!(began.elapsed() < SHORT + Duration::from_secs(1));
}

#[tokio::test]
async fn what_the_remote_says_is_passed_on() {
    let (stack, _sshd, keys, _) = served(ENV);
    fs::rename(&stack.remote, stack.dir.path().join("away")).unwrap();
    let tool = Git::new(stack.with_keys(&keys));
    let found = tool.examine(&stack.checkout).await;
    let Some(Failure::Unreachable(why)) = found.failure else { panic!("{found:?}") };
    assert!(why.contains("does not appear to be a git repository"), "{why}");
    // nobody there at all
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    stack.over(&url(free));
    let found = tool.examine(&stack.checkout).await;
    let Some(Failure::Unreachable(why)) = found.failure else { panic!("{found:?}") };
    assert!(why.contains("cannot be reached") && why.contains("refused"), "{why}");
}
