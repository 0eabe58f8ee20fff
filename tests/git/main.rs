//! Real remotes, real checkouts, a real sshd; as root, checkouts that belong to somebody else.

// helpers of tests may stop a test as the tests themselves may
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod files;
mod fixture;
mod https;
mod httpsd;
mod remotes;
mod sshd;
mod switching;
mod verdicts;
