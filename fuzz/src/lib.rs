//! The rooms under test, built alone. The whole program would bring libraries in C that take
//! minutes to build, and counters that libFuzzer walks over after every run.

#![allow(dead_code, reason = "what the rest of the program uses")]

#[path = "../../src/config/mod.rs"]
pub mod config;
#[path = "../../src/job/mod.rs"]
pub mod job;
#[path = "../../src/nearest.rs"]
pub mod nearest;
#[path = "../../src/schedule/mod.rs"]
pub mod schedule;
#[path = "../../src/secret.rs"]
pub mod secret;
