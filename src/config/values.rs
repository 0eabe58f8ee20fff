//! What a text means: durations, sizes, truth values, lists.

use std::time::Duration;

/// Truth values as people write them.
pub fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A duration such as `90s`, `1h30m`, `500ms`, `2d`; a bare number is seconds.
///
/// # Errors
/// Says what was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a duration such as 90s, 5m or 1h30m";
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|n| *n > 0).ok_or(EXPECTED)?;
        let number: u64 = rest[..digits].parse().map_err(|_| EXPECTED)?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let factor = match &rest[..unit] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return Err(EXPECTED.to_owned()),
        };
        rest = rest[unit..].trim_start();
        total = number.checked_mul(factor).and_then(|ms| total.checked_add(ms)).ok_or(EXPECTED)?;
    }
    if text.is_empty() { Err(EXPECTED.to_owned()) } else { Ok(Duration::from_millis(total)) }
}

/// A size in bytes such as `2GB`, `512M` or `1.5GiB`. As in Docker all units are powers of 1024; a
/// bare number is bytes.
///
/// # Errors
/// Says what was expected.
pub fn bytes(text: &str) -> Result<u64, String> {
    let expected = || "expected a size such as 512M or 2GB".to_owned();
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if unit != "i" && unit != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(expected()),
    };
    let factor = 1_u64 << (10 * power);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(expected);
    }
    let number: f64 = number.parse().map_err(|_| expected())?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "checked")]
    let size = Some(number * factor as f64).filter(|s| *s >= 0.0 && *s < 9e18).map(|s| s as u64);
    size.ok_or_else(expected)
}

/// A number of processors such as `1.5`, in 10⁻⁹ processors.
///
/// # Errors
/// Says what was expected.
pub fn nano_cpus(text: &str) -> Result<i64, String> {
    let cpus: f64 = text.trim().parse().map_err(|_| "expected a number of processors such as 1.5")?;
    #[allow(clippy::cast_possible_truncation, reason = "bounded just here")]
    let nano = (cpus > 0.0 && cpus < 1e6).then(|| (cpus * 1e9).round() as i64);
    nano.ok_or_else(|| "expected a number of processors above zero".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("90", Some(90_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("1d 2h", Some(93_600_000)),
            ("0s", Some(0)),
            ("", None),
            ("m", None),
            ("5 minutes", None),
            ("-5s", None),
            ("99999999999999999999w", None),
        ] {
            assert_eq!(duration(text).ok(), ms.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, size) in [
            ("10", Some(10)),
            ("2GB", Some(2 << 30)),
            ("512m", Some(512 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("1 kb", Some(1024)),
            ("1b", Some(1)),
            ("x", None),
            ("", None),
            ("1i", None),
            ("-1", None),
            ("99999999999T", None),
        ] {
            assert_eq!(bytes(text).ok(), size, "{text}");
        }
        assert_eq!(nano_cpus("1.5").unwrap(), 1_500_000_000);
        assert!(nano_cpus("0").is_err() && nano_cpus("x").is_err());
    }
}
