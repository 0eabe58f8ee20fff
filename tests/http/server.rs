//! Servers that answer as the tests say: plain, over TLS with an authority of their own, slowly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// What a server was asked: the first line, the headers with names in lower case, and the body.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A server, and what it was asked.
pub struct Server {
    pub port: u16,
    asked: Receiver<Asked>,
}

impl Server {
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// All that it was asked until now.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.try_iter().collect()
    }
}

/// A server that gives each request to a function, which writes the answer.
pub fn serve(answer: impl Fn(&Asked, &mut dyn Write) + Send + Clone + 'static) -> Server {
    listen(answer, |stream| Box::new(stream))
}

/// The same over TLS.
pub fn serve_tls(answer: impl Fn(&Asked, &mut dyn Write) + Send + Clone + 'static) -> Server {
    let chain = CertificateDer::pem_file_iter(file("cert.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    listen(answer, move |stream| {
        Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream))
    })
}

/// An answer with its length.
pub fn say(out: &mut dyn Write, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Whoever asked may have gone.
    let _ = out.write_all(head.as_bytes()).and_then(|()| out.write_all(body)).and_then(|()| out.flush());
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn listen(
    answer: impl Fn(&Asked, &mut dyn Write) + Send + Clone + 'static,
    wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Clone + 'static,
) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (answer, wrap, sender) = (answer.clone(), wrap.clone(), sender.clone());
            thread::spawn(move || {
                let mut stream = BufReader::new(wrap(stream));
                // One that does not trust the certificate goes away.
                let Some(request) = read(&mut stream) else { return };
                sender.send(request.clone()).unwrap();
                answer(&request, stream.get_mut());
            });
        }
    });
    Server { port, asked }
}

fn read(stream: &mut impl BufRead) -> Option<Asked> {
    let line = |stream: &mut dyn BufRead| {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|n| *n > 0)?;
        Some(line.trim_end().to_owned())
    };
    let mut asked = Asked { line: line(stream)?, ..Asked::default() };
    loop {
        let header = line(stream)?;
        let Some((name, value)) = header.split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").map_or(0, |n| n.parse().unwrap());
    asked.body.resize(length, 0);
    stream.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// The authority that no machine knows.
pub fn authority() -> PathBuf {
    file("ca.pem")
}

/// A file of the certificate of 127.0.0.1, and of the authority that signed it.
fn file(name: &str) -> PathBuf {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    MADE.get_or_init(certificate).path().join(name)
}

fn certificate() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |words: &[&str]| {
        let output = Command::new("openssl").args(words).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    std::fs::write(dir.path().join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(&[&["req", "-x509"], &key[..], &["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ours"]].concat());
    openssl(&[&["req"], &key[..], &["-keyout", "key.pem", "-out", "request", "-subj", "/CN=server"]].concat());
    let sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-out", "cert.pem"];
    openssl(&[&["x509", "-req", "-in", "request"], &sign[..]].concat());
    dir
}
