//! The table of settings: names new and old, defaults and reasons. Everything that needs to know
//! a name reads it here: precedence, suggestions, `env.local.example`, the documentation.

use super::Problem;
use super::probe::{Collected, Gathered};

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The name in documents.
    pub name: &'static str,
    /// The name that older files use.
    pub old: Option<&'static str>,
    /// What holds without it, as it would be written; empty for nothing.
    pub default: &'static str,
    /// Why one would set it, in one line.
    pub doc: &'static str,
}

const fn setting(name: &'static str, old: Option<&'static str>, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, old, default, doc }
}

/// All settings, in the order of their documentation.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("BIRDHOUSE_EXTRA_CONF_DIRS", Some("EXTRA_CONF_DIRS"), "", "folders that add services, defaults, jobs or deploy steps to the stack; relative to the compose dir or absolute, the last one wins"),
    setting("BIRDHOUSE_DEFAULT_CONF_DIRS", Some("DEFAULT_CONF_DIRS"), "", "conf dirs that are read before the extra ones"),
    setting("BIRDHOUSE_AUTODEPLOY_EXTRA_REPOS", Some("AUTODEPLOY_EXTRA_REPOS"), "", "further git checkouts that are watched and deployed together with the main one; absolute paths"),
    setting("BIRDHOUSE_AUTODEPLOY_PLATFORM_FREQUENCY", Some("AUTODEPLOY_PLATFORM_FREQUENCY"), "7 5 * * *", "schedule of the job autodeploy"),
    setting("BIRDHOUSE_AUTODEPLOY_DEPLOY_KEY_ROOT_DIR", Some("AUTODEPLOY_DEPLOY_KEY_ROOT_DIR"), "", "folder of the ssh deploy keys of private repositories; absolute"),
    setting("BIRDHOUSE_AUTODEPLOY_HOST_KEYS", Some("AUTODEPLOY_HOST_KEYS"), "accept-new", "accept-new remembers the key of an unknown git host, strict refuses it"),
    setting("BIRDHOUSE_AUTODEPLOY_CODE_OWNERSHIP", Some("AUTODEPLOY_CODE_OWNERSHIP"), "", "uid:gid that all files of the checkouts get after a deploy"),
    setting("BIRDHOUSE_AUTODEPLOY_SNAPSHOT", Some("AUTODEPLOY_SNAPSHOT"), "all", "all moves the checkouts together or not at all, available moves those that can"),
    setting("BIRDHOUSE_AUTODEPLOY_COMPOSE_COMMAND", Some("AUTODEPLOY_COMPOSE_COMMAND"), "", "program that takes the place of docker compose, for stacks with a wrapper of their own"),
    setting("BIRDHOUSE_AUTODEPLOY_EXTRA_SCHEDULER_JOBS", Some("AUTODEPLOY_EXTRA_SCHEDULER_JOBS"), "", "jobs as a YAML list in this variable"),
    setting("BIRDHOUSE_COMPOSE_UP_EXTRA_OPTS", Some("COMPOSE_UP_EXTRA_OPTS"), "", "further options of compose up, such as --remove-orphans"),
    setting("BIRDHOUSE_LOG_DIR", Some("PAVICS_LOG_DIR"), "/var/log/birdhouse", "folder of the logs, on the host and inside; absolute"),
    setting("BIRDHOUSE_BACKWARD_COMPATIBLE_ALLOWED", None, "True", "whether an old name wins where old and new name are both set"),
    setting("COMPOSE_PROJECT_NAME", None, "", "compose project of the stack; without it the name in docker-compose.yml, else that of the compose dir"),
    setting("DOCKER_HOST", None, "", "address of the engine, for instance of a socket proxy; without it the usual socket"),
    setting("SCHEDULER_TIMEZONE", None, "UTC", "zone in which schedules are read, such as America/Montreal"),
    setting("SCHEDULER_STATE_DIR", None, "/var/lib/tender", "folder of the scheduler's state inside its container; absolute, on a local file system"),
    setting("SCHEDULER_LOG_FORMAT", None, "text", "text or json, for the scheduler's own log"),
    setting("SCHEDULER_LOG_LEVEL", None, "info", "how much the scheduler's own log says: error, warn, info, debug or trace"),
    setting("SCHEDULER_MAX_RUNNING", None, "8", "how many runs may be under way at once; the others wait"),
    setting("SCHEDULER_GRACE", None, "10s", "time between stop signal and kill where a job does not say"),
    setting("SCHEDULER_MAX_OUTPUT", None, "4GB", "a run that writes more than this is stopped"),
    setting("SCHEDULER_KEEP_RUNS", None, "10000", "how many finished runs stay in the history"),
    setting("SCHEDULER_PIDS_LIMIT", None, "4096", "limit of processes in a job's container where the job does not say"),
    setting("SCHEDULER_START_DELAY", None, "60s", "how long catching up waits after the host has booted"),
    setting("SCHEDULER_IMAGE", None, "tender:latest", "the scheduler's own image, in which built-in jobs run"),
    setting("SCHEDULER_JOB_AUTODEPLOY_IMAGE", None, "", "image of the container in which a stack's own wrapper runs"),
    setting("SCHEDULER_GATE_SOAK", None, "10s", "how long a service without a health check must run before it counts as well"),
    setting("SCHEDULER_GATE_TIMEOUT", None, "3m", "least time that services get to become healthy after a deploy"),
    setting("SCHEDULER_MIN_FREE", None, "2GB", "disk space that must be free before a deploy begins"),
    setting("SCHEDULER_DOCKER_CONFIG", None, "", "folder or file with the registry logins"),
    setting("SCHEDULER_PROBE_DIRS", None, "", "further folders that env.local and default.env may read files from; absolute"),
    setting("SCHEDULER_CONFIG_POLL", None, "10m", "how often files are looked at that the scheduler itself cannot see; 0 for never"),
    setting("SCHEDULER_JOB_HARDENED", None, "false", "true runs every job hardened that does not say `hardened: false`"),
    setting("SCHEDULER_JOB_PROXY", None, "false", "true gives the proxies of the scheduler to jobs as well"),
    setting("SCHEDULER_LEGACY_JOBS", None, "take-over", "take-over runs the built-in where a file's job of its name runs the legacy script, keep runs the job as written"),
    setting("SCHEDULER_HOST_JOBS", None, "false", "true lets jobs run commands on the host itself"),
    setting("BIRDHOUSE_COMPOSE_TEMPLATE_SKIP", None, "false", "true leaves *.template files alone"),
    setting("BIRDHOUSE_COMPOSE_TEMPLATE_FORCE", None, "false", "true renders *.template files whatever is done"),
];

/// Old and new names of variables that are no settings of the scheduler, but that files and compose
/// files use under either name.
pub const ALIASES: &[(&str, &str)] = &[
    ("BIRDHOUSE_DATA_PERSIST_ROOT", "DATA_PERSIST_ROOT"),
    ("BIRDHOUSE_LOGROTATE_DATA_DIR", "LOGROTATE_DATA_DIR"),
    ("BIRDHOUSE_SSL_CERTIFICATE", "SSL_CERTIFICATE"),
];

/// Names that legacy stacks use and that mean nothing here, so that nobody is warned of them. A
/// name that begins with one that ends in `_` is known as well.
const FOREIGN: &[&str] = &[
    "AUTODEPLOY_EXTRA_REPOS_AS_DOCKER_VOLUMES",
    "AUTODEPLOY_GIT_GLOBAL_SAFE_DIRECTORY",
    "AUTODEPLOY_JUPYTERHUB_ARGS",
    "AUTODEPLOY_NOTEBOOK_EXTRA_DOCKER_ARGS",
    "AUTODEPLOY_NOTEBOOK_FREQUENCY",
    "AUTODEPLOY_PLATFORM_EXTRA_DOCKER_ARGS",
    "AUTODEPLOY_SILENT",
    "SCHEDULER_DOCKER",
    "SCHEDULER_JOB_",
    "SCHEDULER_VERSION",
];

/// The compose variable that says whether old names win.
pub const COMPATIBLE: &str = "BIRDHOUSE_BACKWARD_COMPATIBLE_ALLOWED";

impl Setting {
    /// The setting of this name, new or old.
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|s| s.name == name || s.old == Some(name))
    }
}

/// How strong a source is: of two names the one from the stronger source holds.
fn strength(source: &str, collected: &Collected) -> u8 {
    match source {
        "environment" => 3,
        "derived" => 0,
        file if std::path::Path::new(file) == collected.env_local => 2,
        _ => 1,
    }
}

/// Whether old names win; the built-in default is yes.
pub fn old_names_win(values: &dyn Fn(&str) -> Option<String>) -> bool {
    values(COMPATIBLE).is_none_or(|v| v.is_empty() || super::values::truth(&v) != Some(false))
}

/// The value that holds of a new and an old name, empty meaning absent, with the name under which
/// it was written.
pub fn choose<'a>(
    collected: &'a Collected,
    new: &'static str,
    old: Option<&'static str>,
    problems: &mut Vec<Problem>,
) -> Option<(&'static str, &'a Gathered)> {
    let look = |name: &str| collected.values.get(name).filter(|g| !g.value.lossy().is_empty());
    let Some(old) = old else { return look(new).map(|g| (new, g)) };
    match (look(new), look(old)) {
        (None, None) => None,
        (Some(g), None) => Some((new, g)),
        (None, Some(g)) => Some((old, g)),
        (Some(n), Some(o)) => {
            let (by_new, by_old) = (strength(&n.source, collected), strength(&o.source, collected));
            if by_new != by_old {
                return Some(if by_new > by_old { (new, n) } else { (old, o) });
            }
            let old_wins = old_names_win(&|name| look(name).map(|g| g.value.lossy()));
            let (winner, loser) = if old_wins { ((old, o), new) } else { ((new, n), old) };
            if n.value != o.value {
                problems.push(
                    Problem::warning(
                        &winner.1.source,
                        format!("{old} and {new} are both set and differ; {} holds", winner.0),
                    )
                    .at(loser, &if old_wins { &n.value } else { &o.value }.lossy())
                    .hint(format!("set only {new}, or change {COMPATIBLE}")),
                );
            }
            Some(winner)
        }
    }
}

/// The nearest of some names, when it is near enough to be meant.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.len() / 5).clamp(1, 4);
    names
        .into_iter()
        .map(|n| (strsim::damerau_levenshtein(name, n), n))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, n)| n)
}

/// Warns of names that look like settings and are none.
pub fn misspelt(collected: &Collected, problems: &mut Vec<Problem>) {
    let known = || SETTINGS.iter().flat_map(|s| [Some(s.name), s.old]).flatten();
    for (name, gathered) in &collected.values {
        let short = name.strip_prefix("BIRDHOUSE_").filter(|n| n.starts_with("AUTODEPLOY_")).unwrap_or(name);
        let looks = short.starts_with("AUTODEPLOY_") || short.starts_with("SCHEDULER_");
        let foreign = FOREIGN.iter().any(|f| short == *f || f.ends_with('_') && short.starts_with(f));
        if !looks || known().any(|k| k == name) {
            continue;
        }
        let near = nearest(name, known());
        if foreign && (near.is_none() || FOREIGN.contains(&short)) {
            continue;
        }
        let problem = Problem::warning(&gathered.source, "there is no such setting").at(name, &gathered.value.lossy());
        problems.push(match near {
            Some(near) => problem.hint(format!("did you mean {near}?")),
            None => problem.hint("see env.local.example for all settings"),
        });
    }
}

/// The settings as a Markdown table.
pub fn settings_table_markdown() -> String {
    let mut table = "| name | default | what for |\n|---|---|---|\n".to_owned();
    for s in SETTINGS {
        let old = s.old.map(|o| format!("<br>`{o}`")).unwrap_or_default();
        let default = if s.default.is_empty() { String::new() } else { format!("`{}`", s.default) };
        table.push_str(&format!("| `{}`{old} | {default} | {} |\n", s.name, s.doc));
    }
    table
}

/// The text of `env.local.example`.
pub fn settings_example() -> String {
    let mut text = "\
# Settings of the scheduler, each with its default. This is a shell file: copy what you need to
# env.local, without the `#`. Of two names given the second is the one that older files use.
"
    .to_owned();
    for s in SETTINGS {
        let old = s.old.map(|o| format!(" (old name: {o})")).unwrap_or_default();
        text.push_str(&format!("\n# {}{old}\n#export {}=\"{}\"\n", s.doc, s.name, s.default));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::probe::Text;

    fn collected(pairs: &[(&str, &str, &str)]) -> Collected {
        let mut collected = Collected { env_local: "/e".into(), ..Default::default() };
        for (name, value, source) in pairs {
            let value = Text::Utf8((*value).to_owned());
            let source = (*source).to_owned();
            collected.values.insert((*name).to_owned(), Gathered { value, source, frozen: None, written: None });
        }
        collected
    }

    #[test]
    fn precedence_of_old_and_new_names() {
        for (pairs, expected, warnings) in [
            (vec![("NEW", "n", "/e"), ("OLD", "o", "/e")], "o", 1),
            (vec![("NEW", "n", "/e"), ("OLD", "o", "/e"), (COMPATIBLE, "false", "/e")], "n", 1),
            (vec![("NEW", "n", "environment"), ("OLD", "o", "/e")], "n", 0),
            (vec![("NEW", "n", "/e"), ("OLD", "o", "environment"), (COMPATIBLE, "false", "/e")], "o", 0),
            (vec![("NEW", "n", "/default.env"), ("OLD", "o", "/e"), (COMPATIBLE, "False", "/e")], "o", 0),
            (vec![("NEW", "x", "/e"), ("OLD", "x", "/e")], "x", 0),
            (vec![("NEW", "", "/e"), ("OLD", "o", "/default.env")], "o", 0),
            (vec![("NEW", "n", "/e")], "n", 0),
        ] {
            let mut problems = vec![];
            let collected = collected(&pairs);
            let chosen = choose(&collected, "NEW", Some("OLD"), &mut problems).unwrap();
            assert_eq!((chosen.1.value.lossy().as_str(), problems.len()), (expected, warnings), "{pairs:?}");
        }
    }

    #[test]
    fn names_that_are_nearly_right() {
        let collected = collected(&[
            ("AUTODEPLOY_EXTRA_REPO", "x", "/e"),
            ("SCHEDULER_TIMEZOEN", "x", "/e"),
            ("SCHEDULER_JOB_AUTODEPLOY_IMAG", "x", "/e"),
            ("SCHEDULER_JOB_BACKUP_ARGS", "x", "/e"),
            ("BIRDHOUSE_AUTODEPLOY_SILENT", "x", "/e"),
            ("SCHEDULER_SECRET_TOKEN", "hunter2", "/e"),
            ("MY_OWN", "x", "/e"),
        ]);
        let mut problems = vec![];
        misspelt(&collected, &mut problems);
        let hints: Vec<_> = problems.iter().map(|p| (p.key.clone().unwrap(), p.hint.clone().unwrap())).collect();
        let expected = [
            ("AUTODEPLOY_EXTRA_REPO", "did you mean AUTODEPLOY_EXTRA_REPOS?"),
            ("SCHEDULER_JOB_AUTODEPLOY_IMAG", "did you mean SCHEDULER_JOB_AUTODEPLOY_IMAGE?"),
            ("SCHEDULER_SECRET_TOKEN", "see env.local.example for all settings"),
            ("SCHEDULER_TIMEZOEN", "did you mean SCHEDULER_TIMEZONE?"),
        ];
        assert_eq!(hints, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(!format!("{problems:?}").contains("hunter2"));
    }
}
