//! Everything about remotes and checkouts; the only room that knows git2 and ssh2.
//!
//! ```text
//!  deploy (root) ── Git ── request, one JSON line ──▶ `tender git`, uid of the checkout's owner
//!                   ▲      (the deploy key in it)       │ ssh: our own upload-pack talk over ssh2
//!                   └───── reply, one JSON line ────────┘ https, file: libgit2's own transports
//! ```
//!
//! All work happens in the child: whatever it writes belongs to the owner, a hung remote ends with
//! the child, and a crash of a C library is a failed request.

mod authorities;
mod child;
mod client;
mod examine;
mod fetch;
mod foreign;
mod history;
mod inplace;
mod keys;
mod known_hosts;
mod learn;
mod lock;
mod obstacles;
mod pkt;
mod place;
mod record;
mod repo;
mod request;
mod ssh;
mod switch;
mod tree;
mod upload_pack;
mod url;
mod worker;

pub use child::child_main;
pub use client::{Git, GitOptions, HostKeyPolicy, Network};
pub use foreign::give;
pub use inplace::{InPlace, Occupant, write_below};
pub use lock::{StackLock, lock};
pub use place::{git_dir, owner, toplevel};
pub use request::{Examined, Failure, TriggerFile};
