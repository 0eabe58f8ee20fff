//! What each address of the control socket answers.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::{Control, HealthReply, Refusal, RunReply, RunRequest, StartReply, StopRequest};
use crate::run::{Command, Health, NotStopped, RunId, RunRecord, State as RunState};

/// Longest time that a request for a run's end is held open.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(super) fn router(control: Control) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/healthz", get(healthz))
        .route("/run", post(run))
        .route("/stop", post(stop))
        .route("/reload", post(reload))
        .route("/runs/{id}", get(one_run))
        .with_state(control)
}

async fn status(State(control): State<Control>) -> Response {
    let snapshot = control.snapshot.borrow().clone();
    Json(snapshot).into_response()
}

async fn healthz(State(control): State<Control>) -> Response {
    let snapshot = control.snapshot.borrow().clone();
    let code = match snapshot.health {
        Health::Ok | Health::Degraded => StatusCode::OK,
        Health::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(HealthReply { health: snapshot.health, reasons: snapshot.reasons })).into_response()
}

async fn run(State(control): State<Control>, Json(request): Json<RunRequest>) -> Response {
    let (reply, answer) = oneshot::channel();
    let command = Command::Run { job: request.job, env: request.env, reply };
    asked(&control, command, answer).await.map_or_else(|no| no, |id| Json(StartReply { id }).into_response())
}

async fn stop(State(control): State<Control>, Json(request): Json<StopRequest>) -> Response {
    let (reply, answer) = oneshot::channel();
    match asked(&control, Command::Stop { what: request.what, reply }, answer).await {
        Ok(stopping) => Json(stopping).into_response(),
        Err(no) => no,
    }
}

async fn reload(State(control): State<Control>) -> Response {
    let (reply, answer) = oneshot::channel();
    asked(&control, Command::Reload { reply }, answer)
        .await
        .map_or_else(|no| no, |reloaded| Json(reloaded).into_response())
}

/// Passes a command to the loop and awaits its answer.
async fn asked<T, W: Into<Refused>>(
    control: &Control,
    command: Command,
    answer: oneshot::Receiver<Result<T, W>>,
) -> Result<T, Response> {
    let ending = || refusal(StatusCode::SERVICE_UNAVAILABLE, "the scheduler is ending".to_owned());
    control.commands.send(command).await.map_err(|_| ending())?;
    answer.await.map_err(|_| ending())?.map_err(|why| {
        let Refused(code, why) = why.into();
        refusal(code, why)
    })
}

/// A refusal of the loop, with its code.
struct Refused(StatusCode, String);

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, why)
    }
}

impl From<NotStopped> for Refused {
    fn from(why: NotStopped) -> Self {
        match why {
            NotStopped::Unknown(why) => Self(StatusCode::NOT_FOUND, why),
            NotStopped::Refused(why) => why.into(),
        }
    }
}

#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    wait_ms: u64,
}

/// A run as it stands; with `wait_ms` the answer is held back until it has ended or the time is over.
async fn one_run(State(control): State<Control>, Path(id): Path<String>, Query(wait): Query<Wait>) -> Response {
    let id = RunId(id);
    let mut snapshot = control.snapshot.clone();
    let until = tokio::time::Instant::now() + Duration::from_millis(wait.wait_ms).min(LONGEST_WAIT);
    loop {
        // Marked as seen before the look: an end that falls between the two is a new snapshot.
        snapshot.mark_unchanged();
        let row = match look(&control, &id).await {
            Ok(Some(row)) => row,
            Ok(None) => return refusal(StatusCode::NOT_FOUND, format!("there is no run {id}")),
            Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")),
        };
        let ended = row.outcome().is_some();
        if ended || !matches!(tokio::time::timeout_at(until, snapshot.changed()).await, Ok(Ok(()))) {
            return Json(reply(&row)).into_response();
        }
    }
}

async fn look(control: &Control, id: &RunId) -> anyhow::Result<Option<RunRecord>> {
    let (lookup, id) = (control.lookup.clone(), id.clone());
    tokio::task::spawn_blocking(move || lookup(&id)).await?
}

fn reply(row: &RunRecord) -> RunReply {
    let waiting = match &row.state {
        RunState::Planned { waiting } => waiting.clone(),
        _ => None,
    };
    RunReply { state: row.state.word().to_owned(), waiting, outcome: row.outcome().cloned(), exit_code: row.exit_code }
}

fn refusal(code: StatusCode, error: String) -> Response {
    (code, Json(Refusal { error })).into_response()
}
