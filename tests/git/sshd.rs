//! An sshd of one's own on loopback, and things to put in front of it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

pub struct Sshd {
    pub dir: TempDir,
    pub port: u16,
    child: Child,
}

/// Makes a key pair; `keygen` are options of ssh-keygen.
pub fn keygen(path: &Path, keygen: &[&str]) -> String {
    let made = Command::new("ssh-keygen").args(["-q", "-f"]).arg(path).args(keygen).status().unwrap();
    assert!(made.success());
    fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned()
}

pub const ED25519: &[&str] = &["-t", "ed25519", "-N", "", "-C", ""];

impl Sshd {
    /// `allowed`: public key → the command that it may run, whatever is asked for.
    pub fn start(allowed: &[(&str, String)], settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ed25519 = dir.path().join("host_ed25519");
        let rsa = dir.path().join("host_rsa");
        keygen(&ed25519, ED25519);
        keygen(&rsa, &["-t", "rsa", "-b", "2048", "-N", "", "-C", ""]);
        Self::start_with(dir, allowed, settings, &[&ed25519, &rsa], None)
    }

    fn start_with(
        dir: TempDir,
        allowed: &[(&str, String)],
        settings: &str,
        host_keys: &[&Path],
        port: Option<u16>,
    ) -> Self {
        let lines: String =
            allowed.iter().map(|(key, command)| format!("restrict,command=\"{command}\" {key}\n")).collect();
        fs::write(dir.path().join("authorized"), lines).unwrap();
        let host_keys: String = host_keys.iter().map(|key| format!("HostKey {}\n", key.display())).collect();
        if crate::fixture::root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let config = dir.path().join("sshd_config");
        // a port is free when it is looked for, and may be gone a moment later
        for _ in 0..5 {
            let port = port.unwrap_or_else(|| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
            fs::write(
                &config,
                format!(
                    "ListenAddress 127.0.0.1\nPort {port}\nPidFile none\n{host_keys}AuthorizedKeysFile {}\n\
                     StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\n\
                     KbdInteractiveAuthentication no\n{settings}\n",
                    dir.path().join("authorized").display()
                ),
            )
            .unwrap();
            let log = fs::File::create(dir.path().join("log")).unwrap();
            let mut child = Command::new("/usr/sbin/sshd")
                .args(["-D", "-e", "-f"])
                .arg(&config)
                .stdin(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("openssh-server is needed for this test");
            loop {
                if TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut tcp| tcp.read_exact(&mut [0; 4]).is_ok()) {
                    return Self { dir, port, child };
                }
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                thread::yield_now();
            }
        }
        panic!("{}", fs::read_to_string(dir.path().join("log")).unwrap());
    }

    /// The same place with other host keys.
    pub fn with_new_host_key(mut self, allowed: &[(&str, String)]) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let port = self.port;
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("other_host");
        keygen(&host, ED25519);
        Self::start_with(dir, allowed, "", &[&host], Some(port))
    }

    pub fn url(&self) -> String {
        url(self.port)
    }

    pub fn host_key(&self, kind: &str) -> String {
        let text = fs::read_to_string(self.dir.path().join(format!("host_{kind}.pub"))).unwrap();
        format!("[127.0.0.1]:{} {text}", self.port)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn url(port: u16) -> String {
    let me = Command::new("id").arg("-un").output().unwrap();
    format!("ssh://{}@127.0.0.1:{port}/whatever.git", String::from_utf8(me.stdout).unwrap().trim())
}

/// The forced command that serves one repo.
pub fn serve(repo: &Path) -> String {
    format!("git -c safe.directory=* upload-pack {}", repo.display())
}

/// A key folder in which `name` has a key.
pub fn key_dir(dir: &Path, name: &str) -> (PathBuf, String) {
    let keys = dir.join("keys");
    fs::create_dir_all(&keys).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).unwrap();
    let public = keygen(&keys.join(format!("{name}_deploy_key")), ED25519);
    (keys, public)
}

/// Passes everything on; counts what comes back, and the connections.
pub fn counting(to: u16) -> (u16, Arc<AtomicU64>, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let down = Arc::new(AtomicU64::new(0));
    let connections = Arc::new(AtomicU64::new(0));
    let (count, opened) = (down.clone(), connections.clone());
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            opened.fetch_add(1, Ordering::SeqCst);
            let far = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut near_in, &mut far_out);
                let _ = far_out.shutdown(Shutdown::Write);
            });
            let count = count.clone();
            thread::spawn(move || {
                let (mut far, mut near) = (far, near);
                let mut buffer = [0; 65536];
                while let Ok(n @ 1..) = far.read(&mut buffer) {
                    count.fetch_add(n as u64, Ordering::SeqCst);
                    if near.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                let _ = near.shutdown(Shutdown::Write);
            });
        }
    });
    (port, down, connections)
}

/// Takes connections, says `words` and then nothing for ever.
pub fn silent(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(words);
            held.push(stream);
        }
    });
    port
}

/// Deadline of the tests about silence.
pub const SHORT: Duration = Duration::from_secs(2);
