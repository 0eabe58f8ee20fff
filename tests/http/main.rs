//! The body of http jobs against real listeners.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod server;

use std::io::Write;
use std::time::Duration;

use tender::builtin::http::request;
use tender::http::Order;
use tender::job::Http;
use tender::secret::Environment;

use server::{Asked, Server, authority, say, serve, serve_tls};

fn order(url: String) -> Order {
    let request = Http {
        url,
        method: "GET".to_owned(),
        headers: Environment::default(),
        body: None,
        status: vec![(200, 299)],
        // Longer than any machine is busy.
        timeout: Some(Duration::from_secs(60)),
        networks: vec![],
    };
    Order { request, proxies: Environment::default(), ca_file: None }
}

fn pairs(pairs: &[(&str, &str)]) -> Environment {
    Environment(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// Exit code, the answer's body, and what is said about it.
async fn made(order: &Order) -> (u8, Vec<u8>, String) {
    let (mut out, mut remarks) = (Vec::new(), Vec::new());
    let code = request(order, &mut out, &mut remarks).await.unwrap();
    (code, out, String::from_utf8(remarks).unwrap())
}

fn fine() -> Server {
    serve(|_, out| say(out, "200 OK", "", b"fine"))
}

#[tokio::test]
async fn a_request_is_what_the_job_says() {
    let server = fine();
    let mut order = order(server.url("/hook?x=1").replace("127.0.0.1", "me:p%40w@127.0.0.1"));
    order.request.method = "PUT".to_owned();
    order.request.body = Some("{\"a\": \"ü\"}".to_owned());
    order.request.headers =
        pairs(&[("Content-Type", "application/json"), ("X-Api-Key", "hunter2"), ("Host", "a.test")]);
    let (code, out, remarks) = made(&order).await;
    assert_eq!((code, out.as_slice()), (0, &b"fine"[..]), "{remarks}");
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "PUT /hook?x=1 HTTP/1.1");
    assert_eq!(asked.body, "{\"a\": \"ü\"}".as_bytes());
    assert_eq!(asked.header("x-api-key"), Some("hunter2"));
    assert_eq!(asked.header("host"), Some("a.test"));
    assert_eq!(asked.header("authorization"), Some("Basic bWU6cEB3"));
    assert_eq!(asked.header("user-agent"), Some(concat!("tender/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(asked.header("accept-encoding"), None, "nothing could unpack it");
    assert!(!remarks.contains("hunter2") && !remarks.contains("p%40w") && !remarks.contains("me:"), "{remarks}");
    let lines: Vec<&str> = remarks.lines().collect();
    assert!(
        lines[0].starts_with("PUT http://127.0.0.1:") && lines[0].contains("/hook?x=1: 200 OK after "),
        "{remarks}"
    );
    assert!(lines[1].starts_with("4 bytes in "), "{remarks}");
}

#[tokio::test]
async fn the_code_decides() {
    let server = serve(|asked, out| {
        let code = asked.line.split(['/', ' ']).nth(2).unwrap();
        say(out, &format!("{code} Said"), "Location: /200\r\n", b"why\n");
    });
    for (path, expected, code) in [
        ("/204", vec![(200, 299)], 0),
        ("/200", vec![(201, 201)], 1),
        ("/404", vec![(200, 299)], 1),
        ("/404", vec![(200, 200), (400, 404)], 0),
        ("/500", vec![(200, 299)], 1),
        ("/301", vec![(301, 301)], 0),
        ("/304", vec![(200, 299)], 1),
    ] {
        let mut order = order(server.url(path));
        order.request.status = expected;
        let (got, _, remarks) = made(&order).await;
        assert_eq!(got, code, "{path}: {remarks}");
        assert_eq!(server.asked().len(), 1, "{path}");
    }
    let (_, out, remarks) = made(&order(server.url("/503"))).await;
    assert_eq!(out, b"why\n");
    assert!(remarks.ends_with("; 503 was not expected, but 200-299\n"), "{remarks}");
}

#[tokio::test]
async fn redirects_are_followed_and_headers_stay_at_home() {
    let other = fine();
    let to = other.url("/there?token=hunter2");
    let server = serve(move |asked, out| match asked.line.split(' ').nth(1) {
        Some("/first") => say(out, "302 Found", "Location: /second\r\n", b"moved"),
        Some("/second") => say(out, "307 Temporary Redirect", &format!("Location: {to}\r\n"), b""),
        path => panic!("{path:?}"),
    });
    let mut order = order(server.url("/first").replace("127.0.0.1", "me:pw@127.0.0.1"));
    order.request.headers = pairs(&[("X-Own", "hunter2")]);
    order.request.method = "POST".to_owned();
    order.request.body = Some("once".to_owned());
    let (code, out, remarks) = made(&order).await;
    assert_eq!((code, out.as_slice()), (0, &b"fine"[..]), "the body of a redirect is none: {remarks}");
    let (asked, foreign) = (server.asked(), other.asked());
    let lines: Vec<&str> = asked.iter().chain(&foreign).map(|asked| asked.line.as_str()).collect();
    assert_eq!(lines, ["POST /first HTTP/1.1", "GET /second HTTP/1.1", "GET /there?token=hunter2 HTTP/1.1"]);
    let headers = |asked: &Asked| (asked.header("x-own").is_some(), asked.header("authorization").is_some());
    assert_eq!(
        asked.iter().chain(&foreign).map(headers).collect::<Vec<_>>(),
        [(true, true), (true, true), (false, false)]
    );
    assert!(remarks.contains("/there?token=***") && !remarks.contains("hunter2"), "{remarks}");
    assert_eq!(remarks.lines().count(), 4, "{remarks}");
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_an_unexpected_answer() {
    let server = serve(|_, out| say(out, "302 Found", "Location: /again\r\n", b""));
    let (code, _, remarks) = made(&order(server.url("/"))).await;
    assert_eq!((code, server.asked().len()), (1, 11), "{remarks}");
    assert!(remarks.contains("more than 10 redirects"), "{remarks}");
    let server = serve(|_, out| say(out, "302 Found", "Location: file:///etc/passwd\r\n", b""));
    let (code, _, remarks) = made(&order(server.url("/"))).await;
    assert_eq!(code, 1);
    assert!(remarks.contains("it leads to file:"), "{remarks}");
}

#[tokio::test]
async fn a_huge_answer_is_read_to_its_end_and_shown_in_part() {
    let server = serve(|_, out| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
        out.write_all(head.as_bytes()).unwrap();
        for _ in 0..160 {
            write!(out, "{:x}\r\n", chunk.len()).unwrap();
            out.write_all(&chunk).and_then(|()| out.write_all(b"\r\n")).unwrap();
        }
        out.write_all(b"0\r\n\r\n").unwrap();
    });
    let (code, out, remarks) = made(&order(server.url("/"))).await;
    assert_eq!(code, 0, "{remarks}");
    assert_eq!(out, (0..=255).cycle().take(1 << 16).collect::<Vec<u8>>());
    assert!(remarks.contains("10485760 bytes, of which 65536 are shown in "), "{remarks}");
}

#[tokio::test]
async fn nobody_there() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let broken = serve(|_, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").unwrap();
    });
    let odd = serve(|_, out| out.write_all(b"SSH-2.0-OpenSSH_9\r\n\r\n").unwrap());
    for (url, word) in [
        (format!("http://me:hunter2@127.0.0.1:{closed}/"), "refused"),
        (broken.url("/"), "body"),
        (odd.url("/"), "HTTP"),
        ("http://no-such-host.invalid/".to_owned(), "dns"),
    ] {
        let (code, _, remarks) = made(&order(url.clone())).await;
        assert_eq!(code, 69, "{url}: {remarks}");
        assert!(remarks.contains(word) && !remarks.contains("hunter2"), "{url}: {remarks}");
    }
}

#[tokio::test]
async fn a_slow_server_is_waited_for_as_long_as_the_job_says() {
    // Until whoever asked has gone.
    let hang = |out: &mut dyn Write| while out.write_all(b".").and_then(|()| out.flush()).is_ok() {};
    let silent = serve(|_, _| std::thread::park());
    let endless = serve(move |_, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        hang(out);
    });
    for server in [silent, endless] {
        let mut order = order(server.url("/"));
        order.request.timeout = Some(Duration::from_millis(300));
        let (code, _, remarks) = made(&order).await;
        assert_eq!(code, 69, "{remarks}");
        assert!(remarks.contains("no whole answer within 0.30 s"), "{remarks}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_made_says_why() {
    let server = fine();
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let good = order(server.url("/"));
    let with = |change: &dyn Fn(&mut Order)| {
        let mut order = good.clone();
        change(&mut order);
        order
    };
    for (order, word) in [
        (with(&|o| o.request.url = "http://".to_owned()), "the address is none"),
        (with(&|o| o.request.url = "http://[::1/".to_owned()), "the address is none"),
        (with(&|o| o.request.headers = pairs(&[("A b", "c")])), "\"A b\" cannot be a header"),
        (with(&|o| o.request.headers = pairs(&[("A", "hunter2\n")])), "\"A\" cannot be a header"),
        (with(&|o| o.request.method = "G T".to_owned()), "is no method"),
        (with(&|o| o.ca_file = Some("/no/such.pem".into())), "/no/such.pem"),
        (with(&|o| o.ca_file = Some(empty.clone())), "holds no certificate"),
    ] {
        let (code, _, remarks) = made(&order).await;
        assert_eq!(code, 64, "{remarks}");
        assert!(remarks.contains(word) && !remarks.contains("hunter2"), "{remarks}");
    }
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let server = serve_tls(|_, out| say(out, "200 OK", "", b"secret"));
    let url = server.url("/").replace("http:", "https:");
    let (code, out, remarks) = made(&order(url.clone())).await;
    assert_eq!((code, out.len()), (69, 0), "{remarks}");
    assert!(remarks.to_lowercase().contains("certificate"), "{remarks}");
    let named = Order { ca_file: Some(authority()), ..order(url) };
    let (code, out, remarks) = made(&named).await;
    assert_eq!((code, out.as_slice()), (0, &b"secret"[..]), "{remarks}");
}

#[tokio::test]
async fn from_https_nobody_is_led_to_http() {
    let plain = fine();
    let to = plain.url("/");
    let server = serve_tls(move |_, out| say(out, "302 Found", &format!("Location: {to}\r\n"), b""));
    let order = Order { ca_file: Some(authority()), ..order(server.url("/").replace("http:", "https:")) };
    let (code, _, remarks) = made(&order).await;
    assert_eq!((code, plain.asked().len()), (1, 0), "{remarks}");
    assert!(remarks.contains("from https to http"), "{remarks}");
}

#[tokio::test]
async fn proxies_are_those_of_the_settings() {
    let proxy = serve(|_, out| say(out, "200 OK", "", b"by proxy"));
    let address = format!("http://me:hunter2@127.0.0.1:{}", proxy.port);
    let through = |url: &str, no_proxy: &str| Order {
        proxies: pairs(&[("HTTP_PROXY", &address), ("HTTPS_PROXY", &address), ("NO_PROXY", no_proxy)]),
        ..order(url.to_owned())
    };
    let (code, out, remarks) = made(&through("http://far.test/x", "")).await;
    assert_eq!((code, out.as_slice()), (0, &b"by proxy"[..]), "{remarks}");
    let asked = &proxy.asked()[0];
    assert_eq!(asked.line, "GET http://far.test/x HTTP/1.1");
    assert_eq!(asked.header("proxy-authorization"), Some("Basic bWU6aHVudGVyMg=="));
    let (code, ..) = made(&through("https://far.test/x", "")).await;
    assert_eq!((code, proxy.asked()[0].line.as_str()), (69, "CONNECT far.test:443 HTTP/1.1"), "it opened no tunnel");
    let server = fine();
    let (code, out, remarks) = made(&through(&server.url("/"), "127.0.0.1,b.test")).await;
    assert_eq!((code, out.as_slice(), proxy.asked().len()), (0, &b"fine"[..], 0), "{remarks}");
    let bad = Order { proxies: pairs(&[("HTTP_PROXY", "http://me:hunter2@")]), ..order(server.url("/")) };
    let (code, _, remarks) = made(&bad).await;
    assert_eq!(code, 64, "{remarks}");
    assert!(!remarks.contains("hunter2"), "{remarks}");
}
