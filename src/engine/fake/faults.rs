//! Calls that are made to fail.

use crate::engine::EngineError;

#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

struct Fault {
    call: String,
    /// `None`: it is carried out, and the answer is lost.
    refusal: Option<EngineError>,
}

impl Faults {
    pub(super) fn refuse(&mut self, call: &str, error: EngineError) {
        self.0.push(Fault { call: call.to_owned(), refusal: Some(error) });
    }

    pub(super) fn lose(&mut self, call: &str) {
        self.0.push(Fault { call: call.to_owned(), refusal: None });
    }

    /// What meets this call before it is carried out.
    pub(super) fn before(&mut self, call: &str) -> Option<EngineError> {
        self.take(call, true)?.refusal
    }

    /// What meets this call after it was carried out.
    pub(super) fn after(&mut self, call: &str) -> Option<EngineError> {
        self.take(call, false).map(|_| broken_off())
    }

    fn take(&mut self, call: &str, before: bool) -> Option<Fault> {
        // Only the first fault of a call counts, so that they meet the calls in the given order.
        let at = self.0.iter().position(|f| f.call == call)?;
        (self.0[at].refusal.is_some() == before).then(|| self.0.remove(at))
    }
}

pub(super) fn broken_off() -> EngineError {
    EngineError::Unavailable("the connection broke off".to_owned())
}
