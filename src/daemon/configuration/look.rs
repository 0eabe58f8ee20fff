//! One look at the configuration, aside from the loop.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::anyhow;

use super::stamps::{Stamp, Stamps, View};
use super::{Fingerprint, fingerprint};
use crate::config::{Collected, Installation, LoadError, Loaded, Probe, ProbeRequest, may_read_more, resolve};

/// How long files may keep from telling their state. A file system that is away never does.
const PATIENCE: Duration = Duration::from_secs(5);

/// More of a shell file than this is not looked through.
const SHELL_FILE: u64 = 1 << 20;

/// What became of a look.
pub struct Look {
    /// What was found, or why nothing was.
    pub result: Result<Found, LoadError>,
    /// The files that decide about it and can be seen, as they were before it began.
    pub stamps: Stamps,
}

/// What was found.
pub struct Found {
    /// Everything that was found.
    pub collected: Collected,
    /// Of that.
    pub print: Fingerprint,
    /// What was made of it.
    pub loaded: Loaded,
    /// Some of what decides about it cannot be seen from here: a change of that shows only by looking.
    pub hidden: bool,
}

/// Looks, and makes a configuration of what is found. A fault on the way is an error like any other.
/// `known` are the files that were watched until now. Lives on a `LocalSet`.
pub async fn look<P: Probe + 'static>(
    probe: P,
    request: ProbeRequest,
    installation: Installation,
    view: View,
    known: Vec<PathBuf>,
) -> Look {
    // The clock of file systems lags a little behind.
    let began = SystemTime::now() - Duration::from_millis(50);
    let before = stamps(&view, known).await;
    let found = guarded(async move {
        let collected = crate::config::look(&probe, &request).await?;
        aside(move || {
            let print = fingerprint(&collected);
            let loaded = resolve(collected.clone(), &installation);
            Found { collected, print, loaded, hidden: false }
        })
        .await
    });
    let mut found = match found.await {
        Ok(found) => found,
        Err(error) => return Look { result: Err(error), stamps: before },
    };
    let paths: Vec<PathBuf> = found.loaded.files.iter().chain(&found.loaded.absent).cloned().collect();
    let after = stamps(&view, paths.clone()).await;
    found.hidden = {
        let (files, refused) = (found.loaded.files.clone(), found.loaded.has_errors());
        let sees = |path: &PathBuf| after.get(path).is_some_and(Stamp::exists);
        refused
            || !files.iter().all(sees)
            || !paths.iter().all(|path| view.sees(path))
            || tokio::time::timeout(PATIENCE, aside(move || files.iter().any(|file| reads_more(file))))
                .await
                .ok()
                .and_then(Result::ok)
                .unwrap_or(true)
    };
    let stamps = after
        .into_iter()
        .map(|(path, stamp)| {
            // A file that this look was the first to name, and that was written meanwhile: nobody
            // knows which text was read, so that it counts as changed.
            let new = || if stamp.is_newer_than(began) { Stamp::default() } else { stamp };
            let stamp = before.get(&path).copied().unwrap_or_else(new);
            (path, stamp)
        })
        .collect();
    Look { result: Ok(found), stamps }
}

async fn stamps(view: &View, paths: Vec<PathBuf>) -> Stamps {
    let view = view.clone();
    let asked = tokio::task::spawn_blocking(move || view.stamps(&paths));
    tokio::time::timeout(PATIENCE, asked).await.ok().and_then(Result::ok).unwrap_or_default()
}

/// Whether a shell file depends on more than its own text.
fn reads_more(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if !(name.ends_with(".env") || name.starts_with("env.")) {
        return false;
    }
    let small = file.metadata().is_ok_and(|m| m.len() <= SHELL_FILE);
    !small || std::fs::read(file).is_ok_and(|text| may_read_more(&String::from_utf8_lossy(&text)))
}

/// Work that takes its time, on a thread of its own.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work).await.map_err(fault)
}

/// Work whose panic is an error.
async fn guarded<T: 'static>(work: impl Future<Output = Result<T, LoadError>> + 'static) -> Result<T, LoadError> {
    tokio::task::spawn_local(work).await.map_err(fault)?
}

/// Its text is in the log of the process. It may quote what was read, and is not repeated.
fn fault(error: tokio::task::JoinError) -> LoadError {
    let how = if error.is_panic() { "met a fault of its own; its log says where" } else { "is ending" };
    LoadError::Probe(anyhow!("the scheduler {how}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::examples::installation;
    use super::*;
    use crate::config::collect_here;

    /// Looks from this process.
    struct Here;

    impl Probe for Here {
        async fn collect(&self, request: &ProbeRequest) -> anyhow::Result<Collected> {
            Ok(collect_here(request))
        }
    }

    /// Meets a fault, as a bug in the reading of some file would.
    struct Faulty;

    impl Probe for Faulty {
        async fn collect(&self, _: &ProbeRequest) -> anyhow::Result<Collected> {
            let empty: &[u8] = &[];
            let at = empty.len();
            Ok(Collected { complete: empty[at] == 0, ..Collected::default() })
        }
    }

    struct Stack {
        dir: tempfile::TempDir,
    }

    impl Stack {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let stack = Self { dir };
            stack.write("stack/docker-compose.yml", "services: {}\n");
            stack.write("stack/jobs/jobs.yml", "- {name: a, schedule: \"@daily\", image: busybox, command: [x]}\n");
            stack.write("private/env.local", "export BIRDHOUSE_EXTRA_CONF_DIRS=./jobs\n");
            symlink("../private/env.local", stack.path("stack/env.local")).unwrap();
            stack
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        async fn look(&self, view: View, known: Vec<PathBuf>) -> Look {
            self.look_with(Here, view, known).await
        }

        async fn look_with<P: Probe + 'static>(&self, probe: P, view: View, known: Vec<PathBuf>) -> Look {
            let request = ProbeRequest::new(
                self.path("stack"),
                self.path("stack/env.local"),
                std::collections::BTreeMap::default(),
            );
            let work = look(probe, request, installation(), view, known);
            tokio::task::LocalSet::new().run_until(work).await
        }
    }

    #[tokio::test]
    async fn a_fault_is_an_error_like_any_other() {
        let stack = Stack::new();
        let known = vec![stack.path("stack/env.local")];
        let look = stack.look_with(Faulty, View::whole(), known.clone()).await;
        assert!(look.result.err().unwrap().to_string().contains("met a fault"), "and nobody waits for ever");
        assert_eq!(look.stamps.into_keys().collect::<Vec<_>>(), known, "its files are watched all the same");
    }

    #[tokio::test]
    async fn the_files_that_decide_are_watched_and_those_that_may_come() {
        let stack = Stack::new();
        let look = stack.look(View::whole(), vec![]).await;
        let found = look.result.ok().unwrap();
        assert!(found.loaded.job("a").is_some() && !found.hidden);
        for name in ["stack/env.local", "stack/jobs/jobs.yml", "stack/jobs/default.env", "stack/docker-compose.yml"] {
            assert!(look.stamps.contains_key(&stack.path(name)), "{name}: {:?}", look.stamps.keys());
        }
    }

    #[tokio::test]
    async fn what_cannot_be_seen_is_known_to_be_hidden() {
        let stack = Stack::new();
        let inside = || View::below(vec![stack.path("stack")]);
        // In a container the link leads nowhere; here it does, and everything can be seen.
        assert!(!stack.look(inside(), vec![]).await.result.ok().unwrap().hidden);
        stack.write("elsewhere/jobs.yml", "");
        stack.write(
            "private/env.local",
            &format!("export BIRDHOUSE_EXTRA_CONF_DIRS={}\n", stack.path("elsewhere").display()),
        );
        let look = stack.look(inside(), vec![]).await;
        assert!(look.result.ok().unwrap().hidden);
        assert!(look.stamps.keys().all(|path| path.starts_with(stack.path("stack"))));
        // A conf dir that may come where nobody here would see it.
        stack.write("private/env.local", "export BIRDHOUSE_EXTRA_CONF_DIRS=../gone\n");
        assert!(stack.look(inside(), vec![]).await.result.ok().unwrap().hidden);
        // A file that reads another one.
        stack.write("private/env.local", "A=1\n. ../private/more.env\n");
        stack.write("private/more.env", "B=1\n");
        assert!(stack.look(View::whole(), vec![]).await.result.ok().unwrap().hidden);
        // Something that may mend itself in a way that no file tells.
        stack.write("private/env.local", "export BIRDHOUSE_EXTRA_CONF_DIRS=./jobs\n");
        stack.write("stack/jobs/jobs.yml", "- {name: a}\n");
        assert!(stack.look(View::whole(), vec![]).await.result.ok().unwrap().hidden);
    }

    #[tokio::test]
    async fn the_same_files_have_the_same_fingerprint() {
        let stack = Stack::new();
        let print = async || stack.look(View::whole(), vec![]).await.result.ok().unwrap().print;
        let first = print().await;
        assert_eq!(print().await, first);
        stack.write("stack/jobs/jobs.yml", "- {name: b, schedule: \"@daily\", image: busybox, command: [x]}\n");
        assert_ne!(print().await, first);
    }
}
