//! The command line's end of the control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::{HealthReply, Refusal, RunReply, RunRequest, StartReply, StopRequest};
use crate::run::{Reloaded, RunId, Snapshot, Stopping};

/// How long a question may take. The loop answers within milliseconds; a reload reads shell files.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_RELOAD: Duration = Duration::from_secs(300);
/// How long one look at a run is held open.
const HOLD: Duration = Duration::from_secs(30);

/// Why a call to the scheduler did not succeed, as far as the exit code depends on it.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answers.
    #[error("no scheduler answers at {0}; is it running?")]
    Absent(PathBuf),
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// It answered, and said why not.
    #[error("{0}")]
    Refused(String),
    /// It answered something that cannot be understood, or broke off.
    #[error("the scheduler's answer cannot be understood: {0}")]
    Broken(String),
}

/// A caller of the control socket.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    path: PathBuf,
}

impl Client {
    /// A client of the socket at this path; nothing is connected yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(path: &Path) -> anyhow::Result<Self> {
        // The HTTP client wants a TLS provider even where no TLS is spoken. A second install is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().unix_socket(path).no_proxy().build()?;
        Ok(Self { http, path: path.to_owned() })
    }

    /// The scheduler as it is.
    ///
    /// # Errors
    /// When nobody answers, or not with a snapshot.
    pub async fn status(&self) -> Result<Snapshot, CallError> {
        self.answer(self.ask(Method::GET, "status")).await
    }

    /// Its health; *failing* is an answer too.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn health(&self) -> Result<HealthReply, CallError> {
        let response = self.send(self.ask(Method::GET, "healthz")).await?;
        self.body(response).await
    }

    /// Runs a job now.
    ///
    /// # Errors
    /// When nobody answers, or the scheduler will not.
    pub async fn run(&self, request: &RunRequest) -> Result<RunId, CallError> {
        let reply: StartReply = self.answer(self.ask(Method::POST, "run").json(request)).await?;
        Ok(reply.id)
    }

    /// Ends a run, which is durable when this returns.
    ///
    /// # Errors
    /// When nobody answers, there is no such run, or it has ended already.
    pub async fn stop(&self, request: &StopRequest) -> Result<Stopping, CallError> {
        self.answer(self.ask(Method::POST, "stop").json(request)).await
    }

    /// Has the configuration read again.
    ///
    /// # Errors
    /// When nobody answers, or the old configuration stays in force.
    pub async fn reload(&self) -> Result<Reloaded, CallError> {
        self.answer(self.ask(Method::POST, "reload").timeout(PATIENCE_RELOAD)).await
    }

    /// A run as it stands.
    ///
    /// # Errors
    /// When nobody answers, or there is no such run.
    pub async fn look(&self, id: &RunId) -> Result<RunReply, CallError> {
        self.answer(self.ask(Method::GET, &format!("runs/{id}"))).await
    }

    /// Waits for a run's end, at most half a minute: without an outcome it goes on.
    ///
    /// # Errors
    /// When nobody answers, or there is no such run.
    pub async fn wait(&self, id: &RunId) -> Result<RunReply, CallError> {
        let address = format!("runs/{id}?wait_ms={}", HOLD.as_millis());
        self.answer(self.ask(Method::GET, &address).timeout(HOLD + PATIENCE)).await
    }

    fn ask(&self, method: Method, address: &str) -> RequestBuilder {
        // The host name is never looked up: the socket is the connection.
        self.http.request(method, format!("http://scheduler/{address}")).timeout(PATIENCE)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        request.send().await.map_err(|error| {
            if error.is_connect() || error.is_timeout() {
                CallError::Absent(self.path.clone())
            } else {
                CallError::Broken(chain(&error))
            }
        })
    }

    async fn body<T: DeserializeOwned>(&self, response: Response) -> Result<T, CallError> {
        response.json().await.map_err(|error| CallError::Broken(chain(&error)))
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let response = self.send(request).await?;
        let code = response.status();
        if code.is_success() {
            return self.body(response).await;
        }
        let Refusal { error } = self.body(response).await?;
        Err(if code == StatusCode::NOT_FOUND { CallError::Unknown(error) } else { CallError::Refused(error) })
    }
}

/// An error with its causes: the client's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
