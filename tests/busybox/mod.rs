//! An image for tests on a real engine: busybox and nothing else.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// How many tests of this process use the image; the last one takes it away.
static USERS: Mutex<usize> = Mutex::new(0);

const APPLETS: &[&str] = &[
    "sh", "sleep", "echo", "printf", "head", "tr", "id", "pwd", "hostname", "cat", "tail", "ls", "env", "kill",
    "setsid",
];

/// A use of the image.
pub struct Image(String);

impl Image {
    pub fn new() -> Self {
        let name = format!("tender-test-{}:busybox", std::process::id());
        let mut users = USERS.lock().unwrap();
        if *users == 0 {
            import(&name, &[]);
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
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        *users -= 1;
        if *users == 0 {
            let gone = Command::new("docker").args(["rmi", &self.0]).output();
            // A test that has failed may have left something that uses it.
            assert!(gone.is_ok_and(|output| output.status.success()) || std::thread::panicking());
        }
    }
}

/// Runs the docker command and gives what it says.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("these tests need the docker command");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An image of busybox, these programs under these names, and nothing else.
pub fn import(name: &str, programs: &[(&Path, &str)]) {
    assert!(Path::new("/bin/busybox").exists(), "these tests need /bin/busybox: install the package busybox");
    let root = tempfile::tempdir().unwrap();
    for folder in ["bin", "tmp", "etc"] {
        std::fs::create_dir(root.path().join(folder)).unwrap();
    }
    for (program, name) in [(Path::new("/bin/busybox"), "busybox")].iter().chain(programs) {
        std::fs::copy(program, root.path().join("bin").join(name)).unwrap();
        // Nothing for a static one.
        let libraries = Command::new("ldd").arg(program).output().unwrap();
        for path in String::from_utf8_lossy(&libraries.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
            let inside = root.path().join(&path[1..]);
            std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
            std::fs::copy(path, inside).unwrap();
        }
    }
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", root.path().join("bin").join(applet)).unwrap();
    }
    let mut tar =
        Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
    let import = ["import", "-c", "ENV PATH=/bin", "-", name];
    let imported = Command::new("docker").args(import).stdin(tar.stdout.take().unwrap()).output().unwrap();
    assert!(imported.status.success(), "docker import: {}", String::from_utf8_lossy(&imported.stderr));
    assert!(tar.wait().unwrap().success());
}
