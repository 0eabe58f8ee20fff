//! A remote, somebody who pushes to it, and a checkout that follows it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;
use tender::git::{Examined, Git, GitOptions, HostKeyPolicy, Network, give};
use tender::run::Verdict;

/// Owner of the checkouts when the tests run as root.
pub const OWNER: (u32, u32) = (1234, 1235);

pub fn root() -> bool {
    rustix::process::geteuid().is_root()
}

pub struct Stack {
    pub dir: TempDir,
    pub remote: PathBuf,
    pub author: PathBuf,
    pub checkout: PathBuf,
}

/// Runs the git program apart from the machine's and the user's configuration.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = command(dir, args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(args).current_dir(dir).env("GIT_CONFIG_NOSYSTEM", "1");
    // looking at a checkout leaves nothing of root's in it
    command.env("GIT_OPTIONAL_LOCKS", "0");
    // by file, because remotes on this machine are served by a process of their own
    command.env("GIT_CONFIG_GLOBAL", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/git/gitconfig"));
    command
}

impl Stack {
    /// One commit with `a` and `d/x`, cloned.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let [remote, author, checkout] = ["remote.git", "author", "app"].map(|name| dir.path().join(name));
        git(dir.path(), &["init", "-q", "--bare", "remote.git"]);
        git(dir.path(), &["clone", "-q", "remote.git", "author"]);
        let stack = Self { dir, remote, author, checkout };
        stack.push(&[("a", "1\n"), ("d/x", "1\n"), (".gitignore", "*.ignored\nignored/\n")]);
        git(stack.dir.path(), &["clone", "-q", stack.remote.to_str().unwrap(), "app"]);
        stack.hand_over();
        stack
    }

    /// Gives the checkout and the remote to an owner that is not root.
    pub fn hand_over(&self) {
        self.give_checkout();
        if root() {
            give(&self.remote, OWNER.0, OWNER.1).unwrap();
        }
    }

    /// Goes on with a copy of the checkout, so that a fixture need not be built for each case.
    pub fn with_copy_of(&mut self, checkout: &Path, name: &str) {
        let copy = self.dir.path().join(name);
        assert!(Command::new("cp").arg("-a").arg(checkout).arg(&copy).status().unwrap().success());
        self.checkout = copy;
    }

    pub fn give_checkout(&self) {
        if root() {
            give(&self.checkout, OWNER.0, OWNER.1).unwrap();
        }
    }

    /// Commits files (`""` deletes, `->target` links, `#!` makes executable) and pushes.
    pub fn push(&self, files: &[(&str, &str)]) -> String {
        let commit = self.commit(files);
        git(&self.author, &["push", "-q", "origin", "HEAD:main"]);
        commit
    }

    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        lay(&self.author, files);
        git(&self.author, &["add", "-A", "-f"]);
        git(&self.author, &["commit", "-q", "-m", &format!("change {}", files[0].0)]);
        git(&self.author, &["rev-parse", "HEAD"])
    }

    pub fn options(&self) -> GitOptions {
        GitOptions {
            program: program(),
            key_dir: None,
            known_hosts: self.dir.path().join("state/known_hosts"),
            host_keys: HostKeyPolicy::AcceptNew,
            deadline: Duration::from_secs(60),
            compose_dir: None,
            network: Network::default(),
        }
    }

    pub fn tool(&self) -> Git {
        Git::new(self.options())
    }

    pub async fn examine(&self) -> Examined {
        self.tool().examine(&self.checkout).await
    }

    pub async fn verdict(&self) -> (Verdict, String) {
        let verdict = self.examine().await.verdict;
        (verdict.verdict, verdict.reason.unwrap_or_default())
    }

    /// Writes into the checkout as its owner would.
    pub fn write(&self, files: &[(&str, &str)]) {
        lay(&self.checkout, files);
        self.hand_over();
    }

    pub fn head(&self) -> String {
        git(&self.checkout, &["rev-parse", "HEAD"])
    }

    /// The checkout holds exactly this commit, index and branch included, and the given extras.
    pub fn holds(&self, commit: &str, extras: &[&str]) {
        if root() {
            assert_eq!(foreign(&self.checkout), Vec::<PathBuf>::new());
        }
        assert_eq!(self.head(), commit);
        assert_eq!(git(&self.checkout, &["symbolic-ref", "HEAD"]), "refs/heads/main");
        let mut status = git(&self.checkout, &["status", "--porcelain", "--ignored", "--no-renames", "-uall"]);
        if !status.is_empty() {
            status.push('\n');
        }
        let expected: String = extras.iter().map(|extra| format!("{extra}\n")).collect();
        assert_eq!(status, expected);
        git(&self.checkout, &["fsck", "--strict", "--no-dangling"]);
    }
}

pub fn lay(dir: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = dir.join(name);
        if text.is_empty() {
            match fs::symlink_metadata(&path).unwrap().is_dir() {
                true => fs::remove_dir_all(&path).unwrap(),
                false => fs::remove_file(&path).unwrap(),
            }
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Some(target) = text.strip_prefix("->") {
            symlink(target, &path).unwrap();
            continue;
        }
        fs::write(&path, text).unwrap();
        if text.starts_with("#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

/// Every path below a folder with what it is, the git dir left out.
pub fn listing(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    walk(dir, &mut |path, meta| {
        let relative = path.strip_prefix(dir).unwrap().to_path_buf();
        if relative.starts_with(".git") {
            return;
        }
        let what = if meta.is_symlink() {
            format!("-> {}", fs::read_link(path).unwrap().display())
        } else if meta.is_dir() {
            "dir".to_owned()
        } else {
            format!("{:o} {}", meta.mode() & 0o111, fs::read_to_string(path).unwrap())
        };
        found.insert(relative, what);
    });
    found
}

/// What does not belong to the owner.
fn foreign(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(dir, &mut |path, meta| {
        if (meta.uid(), meta.gid()) != OWNER {
            found.push(path.to_path_buf());
        }
    });
    found
}

fn walk(dir: &Path, each: &mut impl FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        each(&path, &meta);
        if meta.is_dir() {
            walk(&path, each);
        }
    }
}

/// The binary under test, where every user can start it.
pub fn program() -> PathBuf {
    static COPY: OnceLock<Option<TempDir>> = OnceLock::new();
    let built = Path::new(env!("CARGO_BIN_EXE_tender"));
    let open = |path: &Path| fs::metadata(path).unwrap().mode() & 0o001 != 0;
    let copy = COPY.get_or_init(|| {
        if !root() || built.ancestors().all(open) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(built, dir.path().join("tender")).unwrap();
        Some(dir)
    });
    copy.as_ref().map_or(built.to_path_buf(), |dir| dir.path().join("tender"))
}
