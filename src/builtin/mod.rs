//! Bodies of the built-in jobs: plain programs that run inside throwaway containers.

pub mod configuration;
pub mod deploy;
pub mod entry;
pub mod holder;
pub mod http;
pub mod signal;

pub mod rotate;
