//! From the engine's log stream to frames.

use bollard::container::LogOutput;
use chrono::DateTime;

use crate::engine::{Channel, EngineError, Frame, Result};

/// The channel and bytes of one piece of a stream without a TTY.
pub(super) fn piece(output: LogOutput) -> Result<(Channel, Vec<u8>)> {
    match output {
        LogOutput::StdOut { message } | LogOutput::StdIn { message } => Ok((Channel::Out, message.into())),
        LogOutput::StdErr { message } => Ok((Channel::Err, message.into())),
        // Not framed as output: type 3 is the engine's own word about a log that it cannot read,
        // anything else is what is left of a frame when the engine goes away in the middle of it.
        LogOutput::Console { message } if message.first() == Some(&3) => {
            let text = String::from_utf8_lossy(message.get(8..).unwrap_or_default()).trim().to_owned();
            Err(EngineError::Other(text))
        }
        LogOutput::Console { .. } => {
            Err(EngineError::Unavailable("the output broke off in the middle of a frame".to_owned()))
        }
    }
}

/// A frame of a log that was asked for with time stamps: `<RFC 3339> <bytes>`.
pub(super) fn frame(output: LogOutput) -> Result<Frame> {
    let (channel, mut bytes) = piece(output)?;
    let end = bytes.iter().take(64).position(|b| *b == b' ');
    let time_ns = end
        .and_then(|end| std::str::from_utf8(&bytes[..end]).ok())
        .and_then(|stamp| DateTime::parse_from_rfc3339(stamp).ok())
        .and_then(|time| time.timestamp_nanos_opt());
    let (Some(end), Some(time_ns)) = (end, time_ns) else {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        return Err(EngineError::Protocol(format!("output without a time stamp: {start:?}")));
    };
    bytes.drain(..=end);
    Ok(Frame { channel, time_ns, bytes })
}

/// Unix time with its fraction, as the API takes it in `since`.
pub(super) fn unix_time(ns: i64) -> String {
    format!("{}.{:09}", ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn out(bytes: &[u8]) -> LogOutput {
        LogOutput::StdOut { message: bytes.to_vec().into() }
    }

    #[test]
    fn the_stamp_is_taken_off_and_nothing_else() {
        let frame = frame(out(b"2026-03-29T01:00:00.000000007Z  two spaces\xff\n")).unwrap();
        assert_eq!(frame.time_ns, 1_774_746_000_000_000_007);
        assert_eq!(frame.bytes, b" two spaces\xff\n");
        assert_eq!(frame.channel, Channel::Out);
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        assert!(matches!(frame(out(b"no stamp here\n")), Err(EngineError::Protocol(_))));
        assert!(matches!(frame(out(b"")), Err(EngineError::Protocol(_))));
        let console = |bytes: &'static [u8]| LogOutput::Console { message: bytes.into() };
        assert!(matches!(piece(console(b"\x03\0\0\0\0\0\0\x05oh no")), Err(EngineError::Other(m)) if m == "oh no"));
        assert!(matches!(piece(console(b"half")), Err(EngineError::Unavailable(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(time_ns in 0i64..4_000_000_000_000_000_000, bytes: Vec<u8>) {
            let stamp = DateTime::from_timestamp_nanos(time_ns).format("%Y-%m-%dT%H:%M:%S%.9fZ ").to_string();
            let sent = [stamp.as_bytes(), &bytes].concat();
            prop_assert_eq!(frame(out(&sent)).unwrap(), Frame { channel: Channel::Out, time_ns, bytes });
        }

        #[test]
        fn unix_times_keep_their_nanoseconds(ns in 0i64..i64::MAX) {
            let text = unix_time(ns);
            let (seconds, rest) = text.split_once('.').unwrap();
            let back: i128 = seconds.parse::<i128>().unwrap() * 1_000_000_000 + rest.parse::<i128>().unwrap();
            prop_assert_eq!(back, i128::from(ns));
        }
    }
}
