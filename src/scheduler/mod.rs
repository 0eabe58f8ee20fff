//! Decides *when*: the planner says what is due and what was missed, the alarm wakes at the right
//! instant. Neither starts anything.

mod alarm;
mod clock;
mod missed;
mod plan;
mod planner;

pub use alarm::{Alarm, Ring};
pub use clock::Step;
pub use plan::{Correction, Plan, Skip, StepKind, StepNotice, Watermark};
pub use planner::Planner;

#[cfg(test)]
mod tests;
