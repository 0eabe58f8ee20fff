//! Secrets inside of other values: a password in an address, a token among options.

use super::setting::Setting;
use crate::secret::{Environment, MASK, is_secret_name};

/// Shorter values are too likely to be a part of something else.
const SHORTEST: usize = 6;

/// The values that no document may hold.
#[derive(Debug, Default)]
pub struct Masking(Vec<String>);

impl Masking {
    /// The values of all variables that hold a secret, and the credentials in those of proxies.
    pub fn of(environment: &Environment) -> Self {
        Self::of_variables(environment.0.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The same, of any pairs of name and value.
    pub fn of_variables<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let secrets = variables.into_iter().filter_map(|(name, value)| secret_part(name, value));
        let mut values: Vec<String> = secrets.flat_map(|value| forms(&value)).collect();
        // The longest first: one may be a part of another.
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
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

/// A secret as it may come to stand in a text: whole, a line of it, each with or without escapes.
fn forms(value: &str) -> Vec<String> {
    let mut forms: Vec<String> = Vec::new();
    for part in value.lines().map(str::trim).chain([value]).filter(|part| part.len() >= SHORTEST) {
        let quoted = format!("{part:?}");
        forms.extend([part.to_owned(), quoted[1..quoted.len() - 1].to_owned()]);
    }
    forms
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

    #[test]
    fn parts_of_a_secret_and_what_quotes_make_of_it() {
        let masking = Masking::of_variables([("TLS_KEY", "BEGIN \"key\"\n  0123456\nx\n")]);
        for text in ["BEGIN \"key\"\n  0123456\nx\n", "no such file: BEGIN \"key\"", "at 0123456"] {
            for shown in [text.to_owned(), format!("{text:?}")] {
                let masked = masking.masked(&shown);
                assert!(!masked.contains("key") && !masked.contains("0123"), "{masked}");
            }
        }
    }
}
