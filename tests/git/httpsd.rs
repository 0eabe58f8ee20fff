//! A git server over https with an authority of its own, and a proxy that asks for a password.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// The name in the server's certificate; no resolver knows it.
pub const HOST: &str = "git.test";

/// A certificate of `HOST` and 127.0.0.1, and the authority that signed it.
struct Certificate(TempDir);

impl Certificate {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let openssl = |words: &[&str]| {
            let output = Command::new("openssl").args(words).current_dir(dir.path()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let names = format!("subjectAltName=DNS:{HOST},IP:127.0.0.1\n");
        std::fs::write(dir.path().join("names"), names).unwrap();
        openssl(&[&["req", "-x509"], &key[..], &["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ours"]].concat());
        openssl(&[&["req"], &key[..], &["-keyout", "key.pem", "-out", "request", "-subj", "/CN=git"]].concat());
        let sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-out", "cert.pem"];
        openssl(&[&["x509", "-req", "-in", "request"], &sign[..]].concat());
        Self(dir)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// The authority that no machine knows.
pub fn authority() -> PathBuf {
    certificate().file("ca.pem")
}

fn certificate() -> &'static Certificate {
    static MADE: OnceLock<Certificate> = OnceLock::new();
    MADE.get_or_init(Certificate::new)
}

/// Serves the repositories below a folder; gives the port.
pub fn serve(root: &Path) -> u16 {
    let chain = CertificateDer::pem_file_iter(certificate().file("cert.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate().file("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let root = root.to_path_buf();
    listen(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        // one that does not trust the certificate goes away
        let _ = answer(StreamOwned::new(connection, stream), &root);
    })
}

/// Takes connections from now on, each in a thread of its own.
fn listen(each: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let each = each.clone();
            thread::spawn(move || each(stream));
        }
    });
    port
}

/// The lines of a request up to the empty one.
fn head(reader: &mut impl BufRead) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => return Ok(lines),
            text => lines.push(text.to_owned()),
        }
    }
}

fn field<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    head.iter().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|f| f.1)
}

/// One request by `git http-backend`.
fn answer(stream: impl Read + Write, root: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let head = head(&mut reader)?;
    let Some(first) = head.first() else { return Ok(()) };
    let [method, target] = [0, 1].map(|i| first.split(' ').nth(i).unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut body = vec![0; field(&head, "content-length").map_or(0, |n| n.parse().unwrap())];
    reader.read_exact(&mut body)?;
    let mut child = Command::new("git")
        .arg("http-backend")
        .envs([("REQUEST_METHOD", method), ("PATH_INFO", path), ("QUERY_STRING", query)])
        .env("CONTENT_TYPE", field(&head, "content-type").unwrap_or_default())
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/git/gitconfig"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().unwrap().write_all(&body)?;
    let output = child.wait_with_output()?.stdout;
    let text = String::from_utf8_lossy(&output);
    let status = text.lines().next().and_then(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let body = output.len() - (output.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4);
    let stream = reader.get_mut();
    stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {body}\r\n").as_bytes())?;
    stream.write_all(&output)?;
    stream.flush()
}

/// A proxy that leads every name to this machine.
pub struct Proxy {
    pub port: u16,
    /// Connections that it has let through.
    pub through: Arc<AtomicUsize>,
}

impl Proxy {
    /// Lets through to this port whoever sends these credentials (in base64).
    pub fn start(to: u16, credentials: &'static str) -> Self {
        let through = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&through);
        let port = listen(move |stream| {
            let _ = lead(stream, to, credentials, &count);
        });
        Self { port, through }
    }

    pub fn address(&self, credentials: &str) -> String {
        format!("http://{credentials}@127.0.0.1:{}", self.port)
    }
}

fn lead(stream: TcpStream, to: u16, credentials: &str, count: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let head = head(&mut reader)?;
        let Some(first) = head.first() else { return Ok(()) };
        assert!(first.starts_with(&format!("CONNECT {HOST}:")), "{first}");
        if field(&head, "proxy-authorization") == Some(&format!("Basic {credentials}")) {
            break;
        }
        let refusal = "HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refusal.as_bytes())?;
    }
    count.fetch_add(1, Ordering::SeqCst);
    let mut there = TcpStream::connect((Ipv4Addr::LOCALHOST, to))?;
    stream.write_all(b"HTTP/1.1 200 Go\r\n\r\n")?;
    let (mut from_there, mut back) = (there.try_clone()?, stream.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_there, &mut back);
        let _ = back.shutdown(std::net::Shutdown::Write);
    });
    std::io::copy(&mut reader, &mut there)?;
    there.shutdown(std::net::Shutdown::Write)
}
