//! The life of runs, from the row to the record.
//!
//! [`perform`] is that life as one function; [`guard`] decides who may begin it; [`recovery`]
//! takes it up again after a crash; [`output`] writes down what it says. [`Runner`] drives them
//! all for the loop of the daemon.

mod comeback;
pub mod container;
mod direct;
pub mod downed;
mod follow;
mod gap;
pub mod guard;
mod held;
mod host_job;
pub mod installation;
pub mod joblog;
mod judge;
pub mod labels;
pub mod left;
pub mod line;
pub mod next;
pub mod oneoff;
pub mod output;
mod pause;
pub mod perform;
pub mod probe;
pub mod projection;
mod pump;
mod queued;
pub mod recovery;
mod room;
pub mod shelf;
pub mod signal;
pub mod spool;
pub mod stop_list;
mod tap;
pub mod target;
mod task;
pub mod word;

pub use room::{Event, Room, Runner};
