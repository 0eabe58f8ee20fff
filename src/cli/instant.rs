//! Instants as documents and people see them.

use anyhow::anyhow;
use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;

/// RFC 3339 with the offset of the zone.
pub(super) fn zoned(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

/// For a table: the zone's wall time to the second, with its offset.
pub(super) fn short(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%F %T %:z").to_string()
}

/// Reads an instant: RFC 3339, or a wall time (`2026-03-29`, `2026-03-29 02:30`) of the zone.
///
/// # Errors
/// When it is neither, or the zone's clock never showed it.
pub(super) fn read(text: &str, zone: Tz) -> anyhow::Result<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let wall = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0)))
        .ok_or_else(|| anyhow!("{text:?} is no instant; write it as 2026-03-29T02:30:00+01:00"))?;
    zone.from_local_datetime(&wall)
        .earliest()
        .map(|at| at.to_utc())
        .ok_or_else(|| anyhow!("the clocks of {zone} never show {text}; add an offset"))
}

/// A length of time for people: the two largest units.
pub(super) fn length(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        ..10 => format!("{:.1} s", ms as f64 / 1000.0),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_carry_the_offset_of_their_zone() {
        let at = read("2026-03-29T01:00:00Z", Tz::UTC).unwrap();
        assert_eq!(zoned(at, chrono_tz::Europe::Berlin), "2026-03-29T03:00:00+02:00");
        assert_eq!(zoned(at, Tz::UTC), "2026-03-29T01:00:00+00:00");
        assert_eq!(short(at, chrono_tz::America::New_York), "2026-03-28 21:00:00 -04:00");
    }

    #[test]
    fn wall_times_are_those_of_the_zone() {
        let zone = chrono_tz::Europe::Berlin;
        for (text, utc) in [
            ("2026-03-29", "2026-03-28T23:00:00+00:00"),
            ("2026-03-29 03:30", "2026-03-29T01:30:00+00:00"),
            ("2026-10-25T02:30:00", "2026-10-25T00:30:00+00:00"),
            ("2026-03-29T00:00:00.5+05:45", "2026-03-28T18:15:00.500+00:00"),
        ] {
            assert_eq!(zoned(read(text, zone).unwrap(), Tz::UTC), utc, "{text}");
        }
        assert!(read("2026-03-29 02:30", zone).unwrap_err().to_string().contains("never show"));
        assert!(read("tomorrow", zone).unwrap_err().to_string().contains("is no instant"));
    }

    #[test]
    fn lengths_read_well() {
        for (ms, text) in
            [(0, "0.0 s"), (1500, "1.5 s"), (59_999, "59 s"), (61_000, "1 min 1 s"), (5_400_000, "1 h 30 min")]
        {
            assert_eq!(length(ms), text);
        }
    }
}
