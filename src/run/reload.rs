//! What reading the configuration again has changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::job::JobName;

/// What reading the configuration again has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reloaded {
    /// How many jobs are in force now.
    pub jobs: usize,
    /// Jobs that were not there before.
    pub added: Vec<JobName>,
    /// Jobs with another definition.
    pub changed: Vec<JobName>,
    /// Jobs that are gone. Those of them that run finish.
    pub removed: Vec<JobName>,
    /// Names of settings with another value.
    pub settings: Vec<String>,
    /// What is refused now, one sentence each.
    pub refused: Vec<String>,
}

impl Reloaded {
    /// Whether anything is not as it was.
    pub const fn is_change(&self) -> bool {
        !(self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty() && self.settings.is_empty())
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |jobs: &[JobName]| jobs.iter().map(JobName::as_str).collect::<Vec<_>>().join(", ");
        let parts = [
            ("added", names(&self.added)),
            ("changed", names(&self.changed)),
            ("removed", names(&self.removed)),
            ("settings changed:", self.settings.join(", ")),
        ];
        let said: Vec<String> =
            parts.iter().filter(|(_, what)| !what.is_empty()).map(|(word, what)| format!("{word} {what}")).collect();
        f.write_str(&if said.is_empty() { "no job changed".to_owned() } else { said.join("; ") })?;
        match self.jobs {
            1 => write!(f, "; 1 job in force")?,
            jobs => write!(f, "; {jobs} jobs in force")?,
        }
        match self.refused.len() {
            0 => Ok(()),
            refused => write!(f, ", {refused} refused"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_what_changed() {
        let mut reloaded = Reloaded { jobs: 1, ..Reloaded::default() };
        assert_eq!(reloaded.to_string(), "no job changed; 1 job in force");
        reloaded.jobs = 4;
        reloaded.added = ["a", "b"].map(|name| JobName::new(name).unwrap()).into();
        reloaded.removed = vec![JobName::new("c").unwrap()];
        reloaded.settings = vec!["SCHEDULER_GRACE".to_owned()];
        reloaded.refused = vec!["error: x".to_owned()];
        assert_eq!(
            reloaded.to_string(),
            "added a, b; removed c; settings changed: SCHEDULER_GRACE; 4 jobs in force, 1 refused"
        );
    }
}
