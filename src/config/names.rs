//! Names that look like settings: what is misspelt, what is gone, what comes later.

use super::Problem;
use super::aliases::choose;
use super::legacy;
use super::probe::Collected;
use super::setting::{Role, SETTINGS, Setting};
use crate::nearest::nearest;

/// Warns of names that look like settings and are none.
pub fn misspelt(collected: &Collected, problems: &mut Vec<Problem>) {
    let files: Vec<String> = SETTINGS.iter().flat_map(Setting::file_names).map(|(_, file)| file).collect();
    let known = || {
        SETTINGS
            .iter()
            .flat_map(Setting::names)
            .map(|name| -> &str { name })
            .chain(files.iter().map(|file| file.as_str()))
    };
    for (name, gathered) in collected.values.iter().filter(|(_, g)| !g.mapped && !g.value.is_empty()) {
        let short = name.strip_prefix("BIRDHOUSE_").filter(|n| n.starts_with("AUTODEPLOY_")).unwrap_or(name);
        let looks = short.starts_with("AUTODEPLOY_") || short.starts_with("SCHEDULER_");
        if !looks || known().any(|k| k == name) {
            continue;
        }
        let legacy = legacy::find(name);
        let near = nearest(name, known());
        if legacy.is_some() && (near.is_none() || legacy::names_exactly(name)) {
            continue;
        }
        let problem = Problem::warning(&gathered.source, "is no setting").at_name(name);
        problems.push(match near {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("see env.local.example for all settings"),
        });
    }
}

/// Whether a job or compose file of the stack itself speaks of one of these variables.
fn used(collected: &Collected, names: &[&str]) -> bool {
    collected.files.values().any(|file| names.iter().any(|name| file.lossy().contains(name)))
}

/// Checks the settings of later versions, and tells who sets one that it has no effect yet. Where a
/// stack's own job or compose files use the variable it has one, and nothing is said; nor of a
/// default that a conf dir brings along.
pub fn later(collected: &Collected, problems: &mut Vec<Problem>) {
    for setting in SETTINGS {
        let Role::Later { part, takes } = setting.role else { continue };
        let Some((name, chosen)) = choose(collected, setting.name, setting.old, &mut Vec::new()) else { continue };
        let text = chosen.value.lossy();
        if let Err(message) = takes.check(text.trim()) {
            problems.push(Problem::error(&chosen.source, message).at(name, &text));
            continue;
        }
        let by_user = chosen.source == "environment" || collected.env_local == std::path::Path::new(&chosen.source);
        let names: Vec<&str> = setting.names().collect();
        if used(collected, &names) || !by_user && text == setting.default {
            continue;
        }
        problems.push(
            Problem::warning(&chosen.source, "has no effect in this version")
                .at(name, &text)
                .hint(format!("it is for a later one that has this: {part}")),
        );
    }
}

/// Warns of values that are still those of the sample.
pub fn samples(collected: &Collected, problems: &mut Vec<Problem>) {
    for (name, sample) in &collected.values {
        let Some(name) = name.strip_prefix("__DEFAULT__") else { continue };
        let Some(set) = collected.values.get(name).filter(|g| !g.value.is_empty() && g.value == sample.value) else {
            continue;
        };
        problems.push(
            Problem::warning(&set.source, "still has the value of the sample, which everybody knows")
                .at_name(name)
                .hint("give it a value of your own in env.local"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::probe::{Gathered, Text};

    fn collected(pairs: &[(&str, &str, &str)]) -> Collected {
        let mut collected = Collected { env_local: "/e".into(), ..Default::default() };
        for (name, value, source) in pairs {
            let value = Text::Utf8((*value).to_owned());
            collected.values.insert((*name).to_owned(), Gathered::new(value, *source));
        }
        collected
    }

    fn hints(problems: &[Problem]) -> Vec<(&str, &str)> {
        problems.iter().map(|p| (p.key.as_deref().unwrap(), p.hint.as_deref().unwrap_or_default())).collect()
    }

    #[test]
    fn names_that_are_nearly_right() {
        let collected = collected(&[
            ("AUTODEPLOY_EXTRA_REPO", "x", "/e"),
            ("SCHEDULER_TIMEZOEN", "x", "/e"),
            ("SCHEDULER_TOKEN_FIEL", "x", "/e"),
            ("SCHEDULER_TOKEN_FILE", "x", "/e"),
            ("SCHEDULER_JOB_AUTODEPLOY_IMAG", "x", "/e"),
            ("SCHEDULER_JOB_XCLIM_DEPLOY_DATA_JOB_SCHEDULE", "x", "/e"),
            ("SCHEDULER_VERSION", "x", "/e"),
            ("SCHEDULER_EMPTY", "", "/e"),
            ("BIRDHOUSE_AUTODEPLOY_SILENT", "x", "/e"),
            ("SCHEDULER_SECRET_TOKEN", "hunter2", "/e"),
            ("MY_OWN", "x", "/e"),
        ]);
        let mut problems = vec![];
        misspelt(&collected, &mut problems);
        let expected = [
            ("AUTODEPLOY_EXTRA_REPO", "did you mean `AUTODEPLOY_EXTRA_REPOS`?"),
            ("SCHEDULER_JOB_AUTODEPLOY_IMAG", "did you mean `SCHEDULER_JOB_AUTODEPLOY_IMAGE`?"),
            ("SCHEDULER_SECRET_TOKEN", "see env.local.example for all settings"),
            ("SCHEDULER_TIMEZOEN", "did you mean `SCHEDULER_TIMEZONE`?"),
            ("SCHEDULER_TOKEN_FIEL", "did you mean `SCHEDULER_TOKEN_FILE`?"),
        ];
        assert_eq!(hints(&problems), expected);
        assert!(!format!("{problems:?}").contains("hunter2"));
    }

    #[test]
    fn settings_of_later_versions() {
        let mut collected = collected(&[
            ("SCHEDULER_JOB_BACKUP_FREQUENCY", "1 1 * * *", "/stack/default.env"),
            ("BIRDHOUSE_BACKUP_VOLUME", "mine", "/stack/default.env"),
            ("AUTODEPLOY_NOTEBOOK_FREQUENCY", "@daily", "/e"),
            ("SCHEDULER_LISTEN", "here", "/e"),
            ("SCHEDULER_NOTIFY", "hunter2", "/e"),
            ("SCHEDULER_TOKEN", "hunter2", "environment"),
        ]);
        let mut problems = vec![];
        later(&collected, &mut problems);
        let keys = |problems: &[Problem]| problems.iter().map(|p| p.key.clone().unwrap()).collect::<Vec<_>>();
        let expected = [
            "AUTODEPLOY_NOTEBOOK_FREQUENCY",
            "BIRDHOUSE_BACKUP_VOLUME",
            "SCHEDULER_LISTEN",
            "SCHEDULER_TOKEN",
            "SCHEDULER_NOTIFY",
        ];
        assert_eq!(keys(&problems), expected);
        assert!(!format!("{problems:?}").contains("hunter2"));
        collected.files.insert("/jobs.yml".into(), Text::Utf8("schedule: ${AUTODEPLOY_NOTEBOOK_FREQUENCY}".to_owned()));
        problems.clear();
        later(&collected, &mut problems);
        assert_eq!(keys(&problems), expected[1..], "a job file uses it");
    }

    #[test]
    fn values_of_the_sample() {
        let pairs = [
            ("__DEFAULT__ADMIN_PASSWORD", "hunter2", "/stack/default.env"),
            ("ADMIN_PASSWORD", "hunter2", "/e"),
            ("__DEFAULT__NAME", "x", "/stack/default.env"),
            ("NAME", "y", "/e"),
            ("__DEFAULT__NONE", "", "/stack/default.env"),
        ];
        let mut problems = vec![];
        samples(&collected(&pairs), &mut problems);
        assert_eq!(hints(&problems), [("ADMIN_PASSWORD", "give it a value of your own in env.local")]);
        assert!(!format!("{problems:?}").contains("hunter2"));
    }
}
