//! Numbers as compose files write them.

use anyhow::{Context, Result};
use serde_json::Value;

use super::super::model::text;

/// A size in bytes: a number, or with a unit of 1024 (`64m`, `1.5gb`, `2GiB`). -1 is none.
pub(super) fn bytes(key: &str, value: &Value) -> Result<Option<i64>> {
    let Some(text) = text(value) else { return Ok(None) };
    let wrong = || format!("{key}: {text:?} is no size");
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && !"+-.e".contains(c)).unwrap_or(lower.len());
    // An `e` at the end is none of a number's.
    let number: f64 = lower[..end].parse().with_context(wrong)?;
    let unit = match lower[end..].trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => anyhow::bail!(wrong()),
    };
    let bytes = number * 1024_f64.powi(unit);
    anyhow::ensure!(bytes.is_finite() && bytes.abs() < 9e18, wrong());
    Ok(Some(bytes as i64))
}

/// A whole number.
pub(super) fn number(key: &str, value: &Value) -> Result<Option<i64>> {
    let Some(text) = text(value) else { return Ok(None) };
    let number: f64 = text.trim().parse().with_context(|| format!("{key}: {text:?} is no number"))?;
    anyhow::ensure!(number.fract() == 0.0 && number.abs() < 9e15, "{key}: {text:?} is no whole number");
    Ok(Some(number as i64))
}

/// Processors in 10⁻⁹; 0 is none.
pub(super) fn nano_cpus(key: &str, value: &Value) -> Result<Option<i64>> {
    let Some(text) = text(value) else { return Ok(None) };
    let number: f64 = text.trim().parse().with_context(|| format!("{key}: {text:?} is no number"))?;
    anyhow::ensure!((0.0..1e6).contains(&number), "{key}: {text:?} is no number of processors");
    Ok(Some((number * 1e9).round() as i64).filter(|cpus| *cpus > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers() {
        let size = |text: &str| bytes("x", &Value::from(text)).ok().flatten();
        for (text, expected) in
            [("67108864", 67_108_864), ("64m", 64 << 20), ("1.5gb", 3 << 29), ("2GiB", 2 << 30), ("-1", -1), ("8b", 8)]
        {
            assert_eq!(size(text), Some(expected), "{text}");
        }
        for wrong in ["much", "1x", "1e400", ""] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
        assert_eq!(bytes("x", &Value::from(5)).unwrap(), Some(5));
        assert_eq!(nano_cpus("x", &Value::from("0.5")).unwrap(), Some(500_000_000));
        assert_eq!(nano_cpus("x", &Value::from(0)).unwrap(), None);
        assert!(nano_cpus("x", &Value::from("-1")).is_err() && number("x", &Value::from(1.5)).is_err());
        assert_eq!(number("x", &Value::from("7")).unwrap(), Some(7));
    }
}
