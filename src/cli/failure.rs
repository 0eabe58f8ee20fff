//! Errors on their way to an exit code.

use super::exit;
use crate::config::LoadError;
use crate::engine::EngineError;
use crate::web::CallError;

/// An error whose exit code is decided already.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Wrong usage.
    pub(super) fn usage(message: impl Into<String>) -> anyhow::Error {
        Self { code: exit::USAGE, message: message.into() }.into()
    }

    /// Bad or missing configuration.
    pub(super) fn config(message: impl Into<String>) -> anyhow::Error {
        Self { code: exit::CONFIG, message: message.into() }.into()
    }
}

/// Whoever read the output has closed it (`| head`): the end of the work, not a mistake.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub(super) struct ReaderGone;

/// The exit code of an error.
pub(super) fn code_of(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of_cause).unwrap_or(exit::FAILED)
}

fn code_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.code);
    }
    if cause.is::<ReaderGone>() {
        return Some(exit::DONE);
    }
    match cause.downcast_ref::<CallError>() {
        Some(CallError::Absent(_)) => return Some(exit::UNAVAILABLE),
        Some(_) => return Some(exit::FAILED),
        None => {}
    }
    if let Some(LoadError::Missing { .. }) = cause.downcast_ref::<LoadError>() {
        return Some(exit::CONFIG);
    }
    match cause.downcast_ref::<EngineError>() {
        Some(EngineError::Unavailable(_)) => Some(exit::UNAVAILABLE),
        _ => None,
    }
}

/// `; did you mean "…"?` for a name that is known, and looks like the one that is not.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    crate::nearest::nearest(name, known).map(|near| format!("; did you mean {near:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let known = ["autodeploy", "logrotate"];
        assert_eq!(nearest("autodeplay", known.into_iter()).unwrap(), "; did you mean \"autodeploy\"?");
        assert_eq!(nearest("backup", known.into_iter()), None);
    }

    #[test]
    fn each_error_has_its_code_however_deep_it_lies() {
        let engine: anyhow::Result<()> = Err(EngineError::Unavailable("no socket".into()).into());
        let absent: anyhow::Result<()> = Err(CallError::Absent("/s".into()).into());
        for (error, code) in [
            (engine.context("failed to look").context("failed").unwrap_err(), exit::UNAVAILABLE),
            (absent.context("failed to ask").unwrap_err(), exit::UNAVAILABLE),
            (CallError::Refused("no".into()).into(), exit::FAILED),
            (EngineError::NotFound("x".into()).into(), exit::FAILED),
            (Failure::config("no such folder"), exit::CONFIG),
            (Failure::usage("no such job"), exit::USAGE),
            (ReaderGone.into(), exit::DONE),
            (anyhow::anyhow!("anything"), exit::FAILED),
        ] {
            assert_eq!(code_of(&error), code, "{error:#}");
        }
    }
}
