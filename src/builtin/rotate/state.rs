//! When each log was rotated last, in logrotate's own format, so that its state can be taken over.
//!
//! Times are written in UTC with a `Z` behind them (which logrotate's reader ignores); times without
//! one are logrotate's, in local time.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

const HEADERS: [&[u8]; 2] = [b"logrotate state -- version 2", b"logrotate state -- version 1"];

/// The file holds something else than a state.
#[derive(Debug, thiserror::Error)]
#[error("its first line is not 'logrotate state -- version 2'")]
pub struct NoState;

/// The last rotation, or first sight, of each log.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct State {
    last: BTreeMap<PathBuf, DateTime<Utc>>,
}

impl State {
    /// Reads the file; missing or empty is an empty state. Also returns the numbers of lines that
    /// could not be understood (their logs count as never seen).
    ///
    /// # Errors
    /// [`NoState`], or when it cannot be read.
    pub fn read(path: &Path, zone: Tz) -> Result<(Self, Vec<usize>)> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
        };
        Ok(Self::parse(&text, zone)?)
    }

    /// As [`Self::read`], from text.
    ///
    /// # Errors
    /// When the first line is not that of a state.
    pub fn parse(text: &[u8], zone: Tz) -> Result<(Self, Vec<usize>), NoState> {
        let mut lines = text.split(|b| *b == b'\n').enumerate();
        match lines.next() {
            Some((_, header)) if HEADERS.contains(&header) => {}
            Some((_, [])) if text.is_empty() => return Ok(Default::default()),
            _ => return Err(NoState),
        }
        let (mut state, mut bad) = (Self::default(), Vec::new());
        for (number, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            match entry(line, zone) {
                Some((path, time)) => {
                    state.last.insert(path, time);
                }
                None => bad.push(number + 1),
            }
        }
        Ok((state, bad))
    }

    /// When this log was rotated last or seen first.
    pub fn last(&self, log: &Path) -> Option<DateTime<Utc>> {
        self.last.get(log).copied()
    }

    /// Notes a rotation or a first sight.
    pub fn set(&mut self, log: &Path, at: DateTime<Utc>) {
        self.last.insert(log.to_owned(), at);
    }

    /// Forgets logs that nobody has seen for a year.
    pub fn forget_old(&mut self, now: DateTime<Utc>) {
        self.last.retain(|log, at| now - *at < TimeDelta::days(366) || log.symlink_metadata().is_ok());
    }

    /// The text of the file.
    pub fn render(&self) -> Vec<u8> {
        let mut text = [HEADERS[0], b"\n"].concat();
        for (log, at) in &self.last {
            text.push(b'"');
            for byte in log.as_os_str().as_bytes() {
                match byte {
                    b'\n' => text.extend(b"\\n"),
                    b'"' | b'\\' => text.extend([b'\\', *byte]),
                    _ => text.push(*byte),
                }
            }
            text.extend(at.format("\" %Y-%-m-%-d-%-H:%-M:%-SZ\n").to_string().into_bytes());
        }
        text
    }
}

/// One line: a path, in quotes when it has to be, a blank, and a time.
fn entry(line: &[u8], zone: Tz) -> Option<(PathBuf, DateTime<Utc>)> {
    let line = line.trim_ascii_end();
    let blank = line.iter().rposition(|b| *b == b' ')?;
    let time = instant(std::str::from_utf8(&line[blank + 1..]).ok()?, zone)?;
    let name = line[..blank].trim_ascii();
    let path = match name.strip_prefix(b"\"") {
        Some(rest) => unescape(rest.strip_suffix(b"\"")?)?,
        None => OsStr::from_bytes(name).to_owned(),
    };
    (!path.is_empty()).then(|| (path.into(), time))
}

fn unescape(text: &[u8]) -> Option<OsString> {
    let mut bytes = text.iter();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                other => *other,
            },
            b'"' => return None,
            other => *other,
        });
    }
    Some(OsString::from_vec(plain))
}

/// `Y-M-D-h:m:s` or `Y-M-D`, none of them padded; UTC when a `Z` follows.
fn instant(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let (text, utc) = text.strip_suffix('Z').map_or((text, false), |text| (text, true));
    let fields = text.split(['-', ':']).map(|f| f.parse().ok()).collect::<Option<Vec<u32>>>()?;
    let (day, (hour, minute, second)) = match fields[..] {
        [y, m, d] => ((y, m, d), (0, 0, 0)),
        [y, m, d, h, min, s] => ((y, m, d), (h, min, s)),
        _ => return None,
    };
    let local = NaiveDate::from_ymd_opt(day.0.try_into().ok()?, day.1, day.2)?.and_hms_opt(hour, minute, second)?;
    let elsewhere = || zone.from_local_datetime(&local).earliest().map(|t| t.to_utc());
    // An hour that the zone skipped is near enough to the same hour of UTC.
    Some(if utc { local.and_utc() } else { elsewhere().unwrap_or(local.and_utc()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_state_of_logrotate_is_taken_over() {
        let text = b"logrotate state -- version 2\n\
            \"/var/log/birdhouse/autodeploy.log\" 2026-3-29-5:7:9\n\
            \"/var/log/a \\\"b\\\\c\\n.log\" 2026-3-29-0:0:0\n\
            nonsense\n\
            /var/log/plain.log 2026-1-2\n\
            \"/var/log/bad.log\" 2026-13-2\n\
            \"/var/log/ours.log\" 2026-3-29-5:7:9Z\n";
        let (state, bad) = State::parse(text, chrono_tz::America::Montreal).unwrap();
        assert_eq!(bad, [4, 6]);
        let shown = |log: &str| state.last(Path::new(log)).unwrap().to_rfc3339();
        assert_eq!(shown("/var/log/birdhouse/autodeploy.log"), "2026-03-29T09:07:09+00:00");
        assert_eq!(shown("/var/log/a \"b\\c\n.log"), "2026-03-29T04:00:00+00:00");
        assert_eq!(shown("/var/log/plain.log"), "2026-01-02T05:00:00+00:00");
        assert_eq!(shown("/var/log/ours.log"), "2026-03-29T05:07:09+00:00");
        assert_eq!(state.last(Path::new("/var/log/bad.log")), None);
    }

    #[test]
    fn nothing_is_a_state_but_something_else_is_not() {
        assert_eq!(State::parse(b"", Tz::UTC).unwrap(), Default::default());
        assert!(State::parse(b"hello\n", Tz::UTC).is_err());
        assert!(State::parse(b"\n", Tz::UTC).is_err());
    }

    #[test]
    fn old_entries_go_when_their_log_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (here, gone, fresh) = (dir.path().join("a.log"), dir.path().join("b.log"), dir.path().join("c.log"));
        std::fs::write(&here, "").unwrap();
        let now = Utc::now();
        let mut state = State::default();
        state.set(&here, now - TimeDelta::days(500));
        state.set(&gone, now - TimeDelta::days(500));
        state.set(&fresh, now - TimeDelta::days(300));
        state.forget_old(now);
        assert_eq!(state.last.keys().collect::<Vec<_>>(), [&here, &fresh]);
    }

    proptest! {
        #[test]
        fn any_name_and_second_is_read_back(name in prop::collection::vec(1u8.., 1..40), second in 0i64..4_000_000_000) {
            let mut state = State::default();
            state.set(&PathBuf::from(OsString::from_vec(name)), DateTime::from_timestamp(second, 0).unwrap());
            let (again, bad) = State::parse(&state.render(), chrono_tz::Europe::Paris).unwrap();
            prop_assert!(bad.is_empty());
            prop_assert_eq!(again, state);
        }
    }
}
