//! Occurrences, runs and what is recorded about them. Pure.

mod deploy;
mod ledger;
mod message;
mod occurrence;
mod outcome;
mod record;
mod reload;
mod skip;

pub use deploy::{
    CheckoutVerdict, DeployOutcome, DeployRecord, DeployStep, RevisionVector, ServiceAction, ServicePlan, Verdict,
};
pub use ledger::{Ledger, Started, StopReason, Stopped};
pub use message::{Command, Health, JobStatus, NotStopped, Reason, RunStatus, Snapshot, Stopping};
pub use occurrence::{Occurrence, RunId, labels};
pub use outcome::{Outcome, SkipReason};
pub use record::{RunRecord, State, Trigger};
pub use reload::Reloaded;
pub use skip::SkipRow;
