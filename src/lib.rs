//! Tender: a scheduler sidecar for docker-compose stacks.
//!
//! Two halves, joined by nothing but what a container can carry (arguments, environment, mounts,
//! an exit code, output lines, a result document, a journal):
//!
//! ```text
//!  the scheduler process                          a throwaway container per run
//!  config ─▶ scheduler ─▶ runner ─▶ engine ═══▶ builtin::{deploy, rotate, …}, or any image
//!               ▲            │
//!             store ◀────────┴──▶ web, log files
//! ```
//!
//! Layers, arrows point down, no imports within a layer (`tests/layers.rs` holds the code to it):
//! `main` → [`cli`] → [`daemon`], [`builtin`] → [`handover`], [`web`], [`scheduler`], [`runner`]
//! → [`config`], [`compose`], [`engine`], [`git`], [`http`], [`store`], [`journal`] → [`run`] → [`job`]
//! → [`schedule`] → [`secret`], [`nearest`] (and `crash`, of the tests).

pub mod builtin;
pub mod cli;
pub mod compose;
pub mod config;
#[cfg(feature = "failpoints")]
pub mod crash;
pub mod daemon;
pub mod engine;
pub mod git;
pub mod handover;
pub mod http;
pub mod job;
pub mod journal;
pub mod nearest;
pub mod run;
pub mod runner;
pub mod schedule;
pub mod scheduler;
pub mod secret;
pub mod store;
pub mod web;
