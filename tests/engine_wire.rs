//! The engine's client against a socket that answers as told: no Docker needed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::{StreamExt, TryStreamExt};
use tender::engine::docker::Docker;
use tender::engine::{Channel, EngineError, Runs};
use tender::job::{ContainerSpec, PullPolicy};
use tender::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::LocalSet;

/// What is answered to requests that begin so, such as `POST /containers/create`.
type Answers = Vec<(&'static str, Answer)>;

#[derive(Clone)]
enum Answer {
    Status(u16, String),
    /// Headers of a stream and some bytes of it, then nothing: the connection breaks.
    Torn(Vec<u8>),
    /// A stream that ends as it should.
    Stream(Vec<u8>),
}

struct Server {
    dir: tempfile::TempDir,
    asked: Rc<RefCell<Vec<String>>>,
}

impl Server {
    /// Runs `body` with a client of a server that answers so; anything else gets 404.
    async fn with<F: Future>(answers: Answers, body: impl FnOnce(Docker, Rc<RefCell<Vec<String>>>) -> F) -> F::Output {
        Self::connected(answers, |host| Docker::connect(Some(host)), body).await
    }

    /// As [`Server::with`], with a client that wants to be told of ends.
    async fn listening<F: Future>(
        answers: Answers,
        body: impl FnOnce(Docker, Rc<RefCell<Vec<String>>>) -> F,
    ) -> F::Output {
        Self::connected(answers, |host| Docker::connect_and_listen(Some(host)), body).await
    }

    async fn connected<F: Future>(
        answers: Answers,
        connect: impl FnOnce(&str) -> tender::engine::Result<Docker>,
        body: impl FnOnce(Docker, Rc<RefCell<Vec<String>>>) -> F,
    ) -> F::Output {
        let server = Self { dir: tempfile::tempdir().unwrap(), asked: Rc::default() };
        let listener = UnixListener::bind(server.socket()).unwrap();
        let asked = Rc::clone(&server.asked);
        let local = LocalSet::new();
        local.spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::task::spawn_local(answer(stream, answers.clone(), Rc::clone(&asked)));
            }
        });
        let docker = connect(&format!("unix://{}", server.socket().display())).unwrap();
        local.run_until(body(docker, server.asked)).await
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s.sock")
    }
}

async fn answer(mut stream: tokio::net::UnixStream, answers: Answers, asked: Rc<RefCell<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let request = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    asked.borrow_mut().push(request.clone());
    let login = head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-registry-auth: "));
    asked.borrow_mut().extend(login.map(str::to_owned));
    let version = ("GET /version", Answer::Status(200, r#"{"ApiVersion":"1.41"}"#.to_owned()));
    let known = answers.iter().chain([&version]).find(|(prefix, _)| request.starts_with(prefix));
    let no = Answer::Status(404, r#"{"message":"page not found"}"#.to_owned());
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let streamed = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let reply = match known.map_or(no, |(_, answer)| answer.clone()) {
        Answer::Status(status, body) => {
            format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
        }
        Answer::Torn(bytes) => [&streamed[..], &chunk(&bytes)].concat(),
        Answer::Stream(bytes) => [&streamed[..], &chunk(&bytes), b"0\r\n\r\n"].concat(),
    };
    stream.write_all(&reply).await.unwrap();
}

fn says(status: u16, message: &str) -> Answer {
    Answer::Status(status, format!("{{\"message\":\"{message}\"}}"))
}

fn container(name: &str, status: &str) -> Answer {
    Answer::Status(200, format!(r#"{{"Id":"ab","Name":"/{name}","State":{{"Status":"{status}"}}}}"#))
}

fn frame(stream: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[stream, 0, 0, 0], &length[..], bytes].concat()
}

#[tokio::test]
async fn no_socket_is_one_line_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absent.sock");
    let docker = Docker::connect(Some(path.to_str().unwrap())).unwrap();
    let error = docker.look("a").await.unwrap_err();
    assert!(matches!(error, EngineError::Unavailable(_)));
    let expected = format!("the engine is not reachable: no engine at {}: is it running and mounted?", path.display());
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dead.sock");
    drop(UnixListener::bind(&path).unwrap());
    let docker = Docker::connect(Some(path.to_str().unwrap())).unwrap();
    let error = docker.info().await.unwrap_err().to_string();
    assert!(error.contains("nobody listens on") && error.contains(path.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn an_engine_that_comes_later_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("late.sock");
    let docker = Docker::connect(Some(path.to_str().unwrap())).unwrap();
    assert!(docker.look("a").await.is_err());
    let listener = UnixListener::bind(&path).unwrap();
    let local = LocalSet::new();
    local.spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            answer(stream, vec![("GET /containers/a/json", container("a", "running"))], Rc::default()).await;
        }
    });
    let seen = local.run_until(docker.look("a")).await.unwrap().unwrap();
    assert_eq!(seen.name, "a");
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_refused_by_its_version() {
    let old = Answer::Status(200, r#"{"ApiVersion":"1.40"}"#.to_owned());
    Server::with(vec![("GET /version", old)], async |docker, _| {
        let error = docker.info().await.unwrap_err().to_string();
        assert!(error.contains("1.40") && error.contains("at least 1.41"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn refusals_keep_their_words() {
    let answers = vec![
        ("POST /containers/gone/start", says(404, "No such container: gone")),
        ("POST /containers/again/start", Answer::Status(304, String::new())),
        ("POST /containers/bad/start", says(500, "no space left on device")),
        ("DELETE /containers/going", says(409, "removal of container going is already in progress")),
        ("DELETE /containers/gone", says(404, "No such container: gone")),
        ("DELETE /containers/stuck", says(409, "cannot remove")),
    ];
    Server::with(answers, async |docker, _| {
        assert!(matches!(docker.start("gone").await, Err(EngineError::NotFound(m)) if m.contains("gone")));
        docker.start("again").await.unwrap();
        assert!(matches!(docker.start("bad").await, Err(EngineError::Other(m)) if m == "no space left on device"));
        docker.remove("going").await.unwrap();
        docker.remove("gone").await.unwrap();
        assert!(matches!(docker.remove("stuck").await, Err(EngineError::Conflict(_))));
        assert_eq!(docker.look("gone").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_taken_name_that_vanishes_is_tried_again_and_not_for_ever() {
    let taken = vec![("POST /containers/create", says(409, "name in use"))];
    Server::with(taken, async |docker, asked| {
        let error = docker.create("a", &ContainerSpec::default()).await.unwrap_err();
        assert!(matches!(error, EngineError::Conflict(_)), "{error}");
        let creates = asked.borrow().iter().filter(|r| r.contains("/containers/create?name=a")).count();
        assert_eq!(creates, 2);
    })
    .await;
}

#[tokio::test]
async fn an_exit_code_is_no_error_and_a_broken_wait_is_no_code() {
    let answers = vec![
        ("POST /containers/a/wait", Answer::Stream(br#"{"StatusCode":3}"#.to_vec())),
        ("POST /containers/b/wait", Answer::Torn(Vec::new())),
        ("POST /containers/c/wait", Answer::Stream(Vec::new())),
        ("POST /containers/d/wait", Answer::Stream(br#"{"StatusCode":0}"#.to_vec())),
    ];
    Server::with(answers, async |docker, asked| {
        assert_eq!(docker.exit("a").await.unwrap(), 3);
        assert_eq!(docker.exit("d").await.unwrap(), 0);
        assert!(asked.borrow().iter().any(|r| r == "POST /containers/a/wait?condition=not-running"));
        for broken in ["b", "c"] {
            let answer = docker.exit(broken).await;
            assert!(matches!(answer, Err(EngineError::Unavailable(_))), "{broken}: {answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn output_asks_to_the_nanosecond_and_a_break_is_no_end() {
    let stamp = b"2026-03-29T01:00:00.000000007Z ";
    let good = frame(2, &[&stamp[..], b"hello\n"].concat());
    let answers = vec![
        ("GET /containers/a/json", container("a", "exited")),
        ("GET /containers/a/logs", Answer::Stream(good.clone())),
        ("GET /containers/b/json", container("b", "running")),
        ("GET /containers/b/logs", Answer::Torn(good.clone())),
        ("GET /containers/c/json", container("c", "running")),
        ("GET /containers/c/logs", Answer::Stream([&good[..], &good[..20]].concat())),
    ];
    Server::with(answers, async |docker, asked| {
        let frames: Vec<_> = docker.output("a", 1_774_746_000_000_000_007).try_collect().await.unwrap();
        assert_eq!(frames.len(), 1);
        assert_eq!((frames[0].channel, frames[0].bytes.as_slice()), (Channel::Err, &b"hello\n"[..]));
        assert!(asked.borrow().iter().any(|r| r.contains("since=1774746000.000000007&")), "{:?}", asked.borrow());
        for torn in ["b", "c"] {
            let mut output = Box::pin(docker.output(torn, 0));
            assert_eq!(output.next().await.unwrap().unwrap().bytes, b"hello\n");
            let end = output.next().await;
            assert!(matches!(end, Some(Err(EngineError::Unavailable(_)))), "{torn}: {end:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn where_events_are_forbidden_nobody_waits_for_them_nor_asks_each_time() {
    let answers = vec![
        ("GET /events", says(403, "forbidden by the proxy")),
        ("POST /containers/create", Answer::Status(201, r#"{"Id":"a","Warnings":[]}"#.to_owned())),
        ("POST /containers/a/start", Answer::Status(204, String::new())),
    ];
    Server::listening(answers, async |docker, asked| {
        for _ in 0..3 {
            docker.create("a", &ContainerSpec::default()).await.unwrap();
            docker.start("a").await.unwrap();
            assert_eq!(docker.ended("a").await, None);
        }
        let asked = asked.borrow();
        assert_eq!(asked.iter().filter(|r| r.starts_with("GET /events")).count(), 1, "{asked:?}");
        assert!(!asked.iter().any(|r| r.contains("/json")), "a start asks nothing: {asked:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stop_carries_its_grace() {
    let answers = vec![("POST /containers/a/stop", Answer::Status(204, String::new()))];
    Server::with(answers, async |docker, asked| {
        docker.stop("a", Duration::from_millis(1500)).await.unwrap();
        assert!(asked.borrow().iter().any(|r| r == "POST /containers/a/stop?t=2"), "{:?}", asked.borrow());
    })
    .await;
}

#[tokio::test]
async fn images_are_pulled_as_the_policy_says() {
    let image = || Answer::Status(200, r#"{"Id":"sha256:aa"}"#.to_owned());
    let refused = || Answer::Stream(br#"{"errorDetail":{"message":"denied"},"error":"denied"}"#.to_vec());
    let answers = vec![("GET /images/here:1/json", image()), ("POST /images/create", refused())];
    Server::with(answers, async |docker, asked| {
        for pull in [PullPolicy::Missing, PullPolicy::Never] {
            assert_eq!(docker.ensure_image("here:1", pull).await.unwrap().warning, None);
        }
        assert!(!asked.borrow().iter().any(|r| r.starts_with("POST")), "pulled although it is here");
        let image = docker.ensure_image("here:1", PullPolicy::Always).await.unwrap();
        assert!(image.id == "sha256:aa" && image.warning.unwrap().contains("denied"));
        let failed = docker.ensure_image("absent", PullPolicy::Missing).await.unwrap_err();
        assert_eq!(failed.to_string(), "denied");
        assert!(asked.borrow().iter().any(|r| r.contains("fromImage=absent%3Alatest")), "{:?}", asked.borrow());
        let never = docker.ensure_image("absent", PullPolicy::Never).await;
        assert!(matches!(never, Err(EngineError::NotFound(_))));
    })
    .await;
}

#[tokio::test]
async fn a_daily_pull_is_content_with_one_a_day() {
    let image = Answer::Status(200, r#"{"Id":"sha256:aa"}"#.to_owned());
    let pulled = Answer::Stream(br#"{"status":"up to date"}"#.to_vec());
    let answers = vec![("GET /images/here:1/json", image), ("POST /images/create", pulled)];
    Server::with(answers, async |docker, asked| {
        let pulls = || asked.borrow().iter().filter(|request| request.starts_with("POST")).count();
        for (hours, expected) in [(0, 1), (0, 1), (23, 1), (2, 2), (1, 2)] {
            // Only for a moment: a clock that stands still would run ahead while the socket is waited for.
            tokio::time::pause();
            tokio::time::advance(std::time::Duration::from_secs(hours * 3600)).await;
            tokio::time::resume();
            assert_eq!(docker.clone().ensure_image("here:1", PullPolicy::Daily).await.unwrap().warning, None);
            assert_eq!(pulls(), expected, "after {hours} h more");
        }
    })
    .await;
}

#[tokio::test]
async fn a_pull_takes_the_login_of_its_registry_along() {
    let config = r#"{"auths":{"reg.example:5000":{"auth":"bWU6aHVudGVyMg=="}}}"#;
    let answers: Answers = vec![
        ("POST /images/create", Answer::Stream(b"{\"status\":\"done\"}\n".to_vec())),
        ("GET /images/", Answer::Status(200, r#"{"Id":"sha256:ab"}"#.to_owned())),
    ];
    Server::with(answers, async |docker, asked| {
        let logins = async |image: &str| {
            asked.borrow_mut().clear();
            docker.ensure_image(image, PullPolicy::Always).await.unwrap();
            let asked = asked.borrow();
            assert!(asked.iter().any(|r| r.starts_with("POST /images/create")), "{asked:?}");
            let login = asked.iter().find_map(|r| r.split_once(": ")).map(|(_, value)| value.to_owned());
            login.map(|text| String::from_utf8(URL_SAFE.decode(text).unwrap()).unwrap())
        };
        assert_eq!(logins("reg.example:5000/a:1").await.filter(|l| l.contains("hunter2")), None, "none was given");
        docker.set_logins(Some(Secret::new(config.to_owned())));
        let login = logins("reg.example:5000/a:1").await.unwrap();
        assert!(login.contains(r#""username":"me""#) && login.contains(r#""password":"hunter2""#), "{login}");
        assert_eq!(logins("other.example/a:1").await.filter(|l| l.contains("hunter2")), None, "of another registry");
        docker.set_logins(None);
        assert_eq!(logins("reg.example:5000/a:1").await.filter(|l| l.contains("hunter2")), None, "taken away");
    })
    .await;
}
