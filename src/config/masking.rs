//! Secrets inside of other values: a password in an address, a token among options.

use super::setting::Setting;
use crate::secret::{Environment, MASK, is_secret_name};

/// Shorter values are too likely to be a part of something else.
const SHORTEST: usize = 6;

/// The values that no document may hold.
pub struct Masking(Vec<String>);

impl Masking {
    /// The values of all variables that hold a secret, and the credentials in those of proxies.
    pub fn of(environment: &Environment) -> Self {
        let mut values: Vec<String> =
            environment.0.iter().filter_map(|(name, value)| secret_part(name, value)).collect();
        values.retain(|value| value.len() >= SHORTEST);
        // One may be a part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// The text without them.
    pub fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }
}

/// What of a variable's value is a secret.
fn secret_part(name: &str, value: &str) -> Option<String> {
    if is_secret_name(name) {
        return Some(value.to_owned());
    }
    let setting = Setting::find(name).filter(|setting| setting.secret)?;
    // Of an address that is shown without its credentials these alone.
    if setting.shown(value) == MASK {
        return Some(value.to_owned());
    }
    let (before, _) = value.rsplit_once('@')?;
    Some(before.split_once("://").map_or(before, |(_, credentials)| credentials).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_inside_of_values() {
        let pairs = [("DB_PASSWORD", "hunter2"), ("API_TOKEN", "hunter2-long"), ("PIN_SECRET", "1"), ("URL", "plain!")];
        let masking = Masking::of(&Environment(pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).into()));
        assert_eq!(masking.masked("x://me:hunter2@h?t=hunter2-long&1 plain!"), "x://me:***@h?t=***&1 plain!");
    }
}
