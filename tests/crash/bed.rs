//! What all schedulers of this test stand on: Tender's image, made from the program under test, and
//! the engine's own account of what happened to containers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::busybox::docker;

/// No wait of these tests is longer, however slow the machine is.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Tender's image: the program, the libraries that it is linked with, and busybox for a shell.
pub struct Image(String);

static USERS: Mutex<usize> = Mutex::new(0);

impl Image {
    pub fn new() -> Self {
        let name = format!("tender-test-{}:crash", std::process::id());
        let mut users = USERS.lock().unwrap();
        if *users == 0 {
            import(&name);
        }
        *users += 1;
        Self(name)
    }

    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let mut users = USERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *users -= 1;
        if *users == 0 {
            let _ = Command::new("docker").args(["rmi", &self.0]).output();
        }
    }
}

fn import(name: &str) {
    let root = tempfile::tempdir().unwrap();
    for folder in ["bin", "tmp", "etc"] {
        std::fs::create_dir(root.path().join(folder)).unwrap();
    }
    let program = root.path().join("bin/tender");
    let stripped = Command::new("strip").arg("-o").arg(&program).arg(env!("CARGO_BIN_EXE_tender")).status();
    if !stripped.is_ok_and(|status| status.success()) {
        std::fs::copy(env!("CARGO_BIN_EXE_tender"), &program).unwrap();
    }
    std::fs::copy("/bin/busybox", root.path().join("bin/busybox")).expect("these tests need the package busybox");
    for applet in ["sh", "cat", "env"] {
        std::os::unix::fs::symlink("busybox", root.path().join("bin").join(applet)).unwrap();
    }
    for file in [env!("CARGO_BIN_EXE_tender"), "/bin/busybox"] {
        let libraries = Command::new("ldd").arg(file).output().unwrap();
        for path in String::from_utf8_lossy(&libraries.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
            let inside = root.path().join(&path[1..]);
            std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
            std::fs::copy(path, inside).unwrap();
        }
    }
    let mut tar =
        Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
    let import = ["import", "-c", "ENV PATH=/bin", "-c", "ENTRYPOINT [\"/bin/tender\"]", "-", name];
    let imported = Command::new("docker").args(import).stdin(tar.stdout.take().unwrap()).output().unwrap();
    assert!(imported.status.success(), "docker import: {}", String::from_utf8_lossy(&imported.stderr));
    assert!(tar.wait().unwrap().success());
}

/// Something that happened to a container.
#[derive(Debug, Clone)]
pub struct Event {
    pub what: String,
    pub container: String,
    pub about: BTreeMap<String, String>,
}

impl Event {
    pub fn about(&self, key: &str) -> &str {
        self.about.get(key).map_or("", String::as_str)
    }
}

/// Listens to the engine from its beginning.
pub struct Recorder {
    stack: String,
    child: Child,
    heard: Arc<(Mutex<Vec<Event>>, Condvar)>,
}

impl Recorder {
    pub fn start(stack: &str) -> Self {
        let since = chrono::Utc::now().timestamp().to_string();
        let filter = format!("label=tender.stack={stack}");
        let mut child = Command::new("docker")
            .args(["events", "--since", &since, "--filter", "type=container", "--filter", &filter])
            .args(["--format", "{{json .}}"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let heard: Arc<(Mutex<Vec<Event>>, Condvar)> = Arc::default();
        let (lines, tell) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&heard));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
                let about = event["Actor"]["Attributes"].as_object().into_iter().flatten();
                let event = Event {
                    what: event["Action"].as_str().unwrap_or_default().to_owned(),
                    container: event["Actor"]["ID"].as_str().unwrap_or_default().to_owned(),
                    about: about.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect(),
                };
                tell.0.lock().unwrap().push(event);
                tell.1.notify_all();
            }
        });
        Self { stack: stack.to_owned(), child, heard }
    }

    /// Waits until what was heard says so, and gives it.
    pub fn until(&self, what: &str, mut enough: impl FnMut(&[Event]) -> bool) -> Vec<Event> {
        let end = Instant::now() + PATIENCE;
        let mut heard = self.heard.0.lock().unwrap();
        while !enough(&heard) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{}: the engine never told of {what}: {:#?}", self.stack, *heard);
            heard = self.heard.1.wait_timeout(heard, left).unwrap().0;
        }
        heard.clone()
    }

    /// Everything up to now: what is heard after the end of a container of our own came after it.
    pub fn all(&self, image: &str) -> Vec<Event> {
        let label = format!("tender.stack={}", self.stack);
        let mark = docker(&["create", "--label", &label, "--label", "sentinel=1", image, "sh"]);
        docker(&["rm", &mark]);
        let mut events = self.until("the sentinel", |heard| {
            heard.iter().any(|event| event.container == mark && event.what == "destroy")
        });
        events.retain(|event| event.about("sentinel").is_empty());
        events
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for what nothing tells of.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}
