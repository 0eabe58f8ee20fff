//! Secrets inside of other values: a password in an address, a token among options.

use crate::secret::{Environment, MASK, is_secret_name};

/// Shorter values are too likely to be a part of something else.
const SHORTEST: usize = 6;

/// The values that no document may hold.
pub struct Masking(Vec<String>);

impl Masking {
    /// The values of all variables whose name tells of a secret.
    pub fn of(environment: &Environment) -> Self {
        let secret = environment.0.iter().filter(|(name, value)| is_secret_name(name) && value.len() >= SHORTEST);
        let mut values: Vec<String> = secret.map(|(_, value)| value.clone()).collect();
        // One may be a part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// The text without them.
    pub fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }
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
