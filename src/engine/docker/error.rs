//! What the engine's refusals and a broken connection mean to a caller.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use bollard::errors::Error;

use super::client::Address;
use crate::engine::EngineError;

/// Sorts an error of the client library; for one that says nothing reached the engine, one line
/// that names the address and the way out.
pub(super) fn understood(address: &Address, error: Error) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code, message } => refused(status_code, message),
        Error::DockerStreamError { error } | Error::DockerContainerWaitError { error, .. } => EngineError::Other(error),
        Error::SocketNotFoundError(_) => unreachable(address, Some(ErrorKind::NotFound)),
        Error::RequestTimeoutError => {
            EngineError::Unavailable(format!("the engine at {address} does not answer; look at its own log"))
        }
        Error::IOError { err } => unreachable(address, cause(&err)),
        Error::HyperLegacyError { err } => unreachable(address, cause(&err)),
        Error::HyperResponseError { err } => unreachable(address, cause(&err)),
        Error::JsonDataError { message, .. } => EngineError::Protocol(message),
        other => EngineError::Protocol(other.to_string()),
    }
}

fn refused(status: u16, message: String) -> EngineError {
    let message = if message.trim().is_empty() { format!("status {status}") } else { message.trim().to_owned() };
    match status {
        404 => EngineError::NotFound(message),
        409 => EngineError::Conflict(message),
        502..=504 => EngineError::Unavailable(message),
        _ => EngineError::Other(message),
    }
}

/// The kind of the I/O error that is at the bottom of it.
fn cause(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    let mut next = Some(error);
    let mut kind = None;
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            kind = Some(error.kind());
        }
        next = error.source();
    }
    kind
}

fn unreachable(address: &Address, kind: Option<ErrorKind>) -> EngineError {
    let socket = matches!(address, Address::Socket(_));
    EngineError::Unavailable(match kind {
        Some(ErrorKind::NotFound) => format!("no engine at {address}: is it running and mounted?"),
        Some(ErrorKind::PermissionDenied) => {
            format!("permission denied on {address}: add the user to its group, or run as root")
        }
        Some(ErrorKind::ConnectionRefused) if socket => {
            format!("nobody listens on {address}: start the engine; if it was restarted, mount the socket again")
        }
        Some(ErrorKind::ConnectionRefused) => format!("nobody listens on {address}: start the engine"),
        _ => format!("the connection to {address} broke off; it is tried again"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Address {
        Address::Socket("/run/x.sock".into())
    }

    #[test]
    fn answers_are_sorted_by_status() {
        let sorted = |status_code| {
            understood(&socket(), Error::DockerResponseServerError { status_code, message: "why\n".into() })
        };
        assert!(matches!(sorted(404), EngineError::NotFound(m) if m == "why"));
        assert!(matches!(sorted(409), EngineError::Conflict(m) if m == "why"));
        assert!(matches!(sorted(500), EngineError::Other(m) if m == "why"));
        assert!(matches!(sorted(503), EngineError::Unavailable(_)));
        assert!(matches!(sorted(400), EngineError::Other(_)));
    }

    #[test]
    fn an_engine_out_of_reach_is_one_line_with_a_way_out() {
        for (kind, word) in [
            (ErrorKind::NotFound, "is it running and mounted?"),
            (ErrorKind::PermissionDenied, "add the user to its group"),
            (ErrorKind::ConnectionRefused, "start the engine"),
            (ErrorKind::ConnectionReset, "broke off"),
            (ErrorKind::UnexpectedEof, "broke off"),
        ] {
            let error = understood(&socket(), Error::IOError { err: io::Error::from(kind) });
            let text = error.to_string();
            assert!(matches!(error, EngineError::Unavailable(_)), "{kind:?}");
            assert!(text.contains("/run/x.sock") && text.contains(word) && !text.contains('\n'), "{text}");
        }
    }
}
