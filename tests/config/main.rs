//! The configuration as a whole, on the fixtures in `tests/fixtures/config`.

// helpers of tests may stop a test as the tests themselves may
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod conf_dirs;
mod delayed;
mod diagnostics;
mod docs;
mod every;
mod explain;
mod house;
mod job_files;
mod jobs;
mod legacy_jobs;
mod levels;
mod names;
mod secrets;
mod settings;
mod shell;
mod stacks;
mod symlinks;
mod templates;
mod wild;
