//! The engine over its HTTP API; the only user of the client library.
//!
//! One file per idea: `client` (address, version), `error` (what its refusals mean), `create` and
//! `mounts` (spec → request), `seen` (inspect → [`Seen`](super::Seen)), `frames` (log stream →
//! [`Frame`](super::Frame)), `follow` (all of it), `ends` (told by events), `begin` (since when it lives), `images` and
//! `logins`, `attach` (one-shots and exec), `me`; `runs` and
//! `host` implement the two traits with them.

mod attach;
mod begin;
mod client;
mod create;
mod ends;
mod error;
mod follow;
mod frames;
mod host;
mod images;
mod logins;
mod me;
mod mounts;
mod runs;
mod seen;

pub use client::Docker;
