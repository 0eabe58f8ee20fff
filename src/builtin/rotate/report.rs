//! What a rotation did, for people and for documents.

use serde::Serialize;

/// The result of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Logs that were rotated, those included that an earlier run had begun.
    pub rotated: Vec<Rotated>,
    /// What could not be done; it is tried again by the next run.
    pub failed: Vec<Failed>,
    /// Names that fit the pattern and are not touched: links, FIFOs, …
    pub skipped: Vec<Failed>,
    /// How many logs were looked at.
    pub looked_at: usize,
}

/// One log that was rotated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// Its name.
    pub log: String,
    /// The name of its new archive.
    pub archive: String,
    /// Bytes that went into the archive.
    pub before: u64,
    /// Bytes of the archive.
    pub after: u64,
    /// Archives that were removed because they were too many.
    pub removed: Vec<String>,
    /// What people should know about it.
    pub remark: Option<String>,
}

/// One thing that was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The log, or what else it is about.
    pub log: String,
    /// Why.
    pub why: String,
}

impl Report {
    /// 0, or 1 when anything failed.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.failed.is_empty())
    }
}

/// Bytes for people: `512 B`, `96 kB`, `1.2 MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_short() {
        for (count, wanted) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (96_200, "96 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_240_000, "1.2 MB"),
            (9_960_000, "10 MB"),
            (5_000_000_000_000_000, "5000 TB"),
        ] {
            assert_eq!(bytes(count), wanted);
        }
    }
}
