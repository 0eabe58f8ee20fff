//! When jobs are due: parse and `next_after`. Pure; nothing else in the program computes times.

mod cron;
mod days;
mod every;
mod explain;
mod field;
mod line;

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use cron::Cron;
use every::Every;
use line::Line;

use crate::nearest::nearest;

/// When a job is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    text: String,
    zone: Tz,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    Cron(Cron),
    Every(Every),
    Reboot,
    Manual,
}

/// Which kind of schedule it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A cron pattern.
    Cron,
    /// A true interval.
    Every,
    /// Once at each start of the scheduler.
    Reboot,
    /// Only on request.
    Manual,
}

/// Why a text is no schedule; says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(pub String);

impl Schedule {
    /// Reads a schedule. `zone` holds unless the text begins with `CRON_TZ=` or `TZ=`; `seed`
    /// (the name of the job) decides what `H` stands for.
    ///
    /// # Errors
    /// When the text is no schedule.
    pub fn parse(text: &str, zone: Tz, seed: &str) -> Result<Self, ScheduleError> {
        let (zone, body) = zone_and_body(text.trim(), zone)?;
        let rule = match body.strip_prefix('@') {
            Some(word) => shorthand(word)?,
            None => Rule::Cron(Cron::parse(body, seed)?),
        };
        Ok(Self { text: text.trim().to_owned(), zone, rule })
    }

    /// Only on request.
    pub fn manual() -> Self {
        Self { text: "@manual".to_owned(), zone: Tz::UTC, rule: Rule::Manual }
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone in which it is read and shown.
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// Which kind it is.
    pub const fn kind(&self) -> Kind {
        match self.rule {
            Rule::Cron(_) => Kind::Cron,
            Rule::Every(_) => Kind::Every,
            Rule::Reboot => Kind::Reboot,
            Rule::Manual => Kind::Manual,
        }
    }

    /// Whether it follows elapsed time when the clock steps (a wildcard or an interval), instead of
    /// being due once at a fixed time.
    pub const fn follows_elapsed_time(&self) -> bool {
        match &self.rule {
            Rule::Cron(cron) => cron.wildcard,
            Rule::Every(_) => true,
            Rule::Reboot | Rule::Manual => false,
        }
    }

    /// The first instant after `after` (exclusive) at which it is due, in whole seconds; `None`
    /// when there is none before the year 10000.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = line::whole_second(after)?;
        let next = match &self.rule {
            Rule::Cron(cron) => Line(self.zone).next(cron, after),
            Rule::Every(every) => every.next(after),
            Rule::Reboot | Rule::Manual => None,
        };
        next.filter(|next| *next <= line::LAST)
    }

    /// How many times it is due after `after` (exclusive) and until `until` (inclusive). Takes no
    /// longer for a million than for one.
    pub fn count_between(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
        let (after, until) = (line::whole_second(after), line::whole_second(until.min(line::LAST)));
        let (Some(after), Some(until)) = (after, until) else { return 0 };
        if until <= after {
            return 0;
        }
        match &self.rule {
            Rule::Cron(cron) => Line(self.zone).count(cron, after, until),
            Rule::Every(every) => every.count(after, until),
            Rule::Reboot | Rule::Manual => 0,
        }
    }

    /// One line of plain English.
    pub fn explain(&self) -> String {
        let text = match &self.rule {
            Rule::Cron(cron) => format!("{} ({})", explain::cron(cron), self.zone.name()),
            Rule::Every(every) => format!("every {every}, counted from 1970-01-01 00:00 UTC"),
            Rule::Reboot => "once at each start of the scheduler".to_owned(),
            Rule::Manual => "only on request".to_owned(),
        };
        let mut letters = text.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits `CRON_TZ=<zone>` or `TZ=<zone>` off.
fn zone_and_body(text: &str, zone: Tz) -> Result<(Tz, &str), ScheduleError> {
    let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else {
        return Ok((zone, text));
    };
    let (name, body) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let name = name.trim_matches(['"', '\'']);
    let zone = name.parse().map_err(|_| {
        let way_out = match nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a name such as UTC or Europe/Berlin".to_owned(),
        };
        ScheduleError(format!("`{name}` is no time zone; {way_out}"))
    })?;
    Ok((zone, body.trim_start()))
}

/// What may stand after the `@`.
const WORDS: &[&str] =
    &["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly", "every", "reboot", "manual"];

/// What stands after the `@`.
fn shorthand(word: &str) -> Result<Rule, ScheduleError> {
    let (word, rest) = word.split_once(char::is_whitespace).unwrap_or((word, ""));
    let lower = word.to_ascii_lowercase();
    if lower == "every" {
        return Every::parse(rest.trim()).map(Rule::Every);
    }
    if !rest.trim().is_empty() {
        return Err(ScheduleError(format!("nothing may follow `@{word}`, but `{}` does", rest.trim())));
    }
    let pattern = match lower.as_str() {
        "reboot" => return Ok(Rule::Reboot),
        "manual" => return Ok(Rule::Manual),
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        _ => {
            let way_out = match nearest(word, WORDS.iter().copied()) {
                Some(near) => format!("did you mean `@{near}`?"),
                None => {
                    let all: Vec<String> = WORDS.iter().map(|word| format!("@{word}")).collect();
                    format!("there are {}", all.join(", ").replace("@every", "@every <duration>"))
                }
            };
            return Err(ScheduleError(format!("`@{word}` is unknown; {way_out}")));
        }
    };
    Cron::parse(pattern, "").map(Rule::Cron)
}

#[cfg(test)]
mod tests;
