//! Exit codes, documented in the README.

/// Done, or nothing to do.
pub const DONE: u8 = 0;
/// It was tried and failed.
pub const FAILED: u8 = 1;
/// Wrong usage.
pub const USAGE: u8 = 2;
/// Blocked: dirty, diverged, suspended, …
pub const BLOCKED: u8 = 3;
/// Bad or missing configuration.
pub const CONFIG: u8 = 64;
/// The engine or a remote is not reachable.
pub const UNAVAILABLE: u8 = 69;
/// Somebody else holds the lock.
pub const LOCKED: u8 = 75;
