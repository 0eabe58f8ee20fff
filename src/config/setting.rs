//! The table of settings: names new and old, defaults, reasons and roles. Everything that needs to
//! know a name reads it here: precedence, suggestions, `env.local.example`, the documentation.

use super::probe::Collected;
use super::takes::Takes;
use crate::secret;

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The name in documents.
    pub name: &'static str,
    /// The name that older files use; for the proxies the one in lower case.
    pub old: Option<&'static str>,
    /// What holds without it, as it would be written; empty for nothing.
    pub default: &'static str,
    /// Why one would set it, in one line.
    pub doc: &'static str,
    /// What this version does with it.
    pub role: Role,
    /// It may hold a secret: it is never shown, and `<name>_FILE` may name a file that holds it.
    pub secret: bool,
}

/// What this version does with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has its effect.
    Now,
    /// It is known and checked, and whoever sets it is told that it has no effect yet.
    Later {
        /// The part of the program that it belongs to.
        part: &'static str,
        /// What it takes.
        takes: Takes,
    },
}

const fn setting(name: &'static str, old: Option<&'static str>, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, old, default, doc, role: Role::Now, secret: false }
}

impl Setting {
    const fn later(mut self, part: &'static str, takes: Takes) -> Self {
        self.role = Role::Later { part, takes };
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The setting of this name, new or old.
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|s| s.name == name || s.old == Some(name))
    }

    /// Its names, the new one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        [Some(self.name), self.old].into_iter().flatten()
    }

    /// The variables that name a file which holds it, each after the name that it is for. A name that
    /// is itself a setting is never one of them.
    pub fn file_names(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let names = self.names().filter({
            let secret = self.secret;
            move |_| secret
        });
        names.map(|name| (name, format!("{name}_FILE"))).filter(|(_, file)| Self::find(file).is_none())
    }

    /// What is shown of a value: nothing of a secret, of a proxy all but its credentials.
    pub fn shown(&self, value: &str) -> String {
        let proxy = self.old.is_some_and(|old| old.eq_ignore_ascii_case(self.name));
        match self.secret && !value.is_empty() {
            false => secret::shown(self.name, value).into_owned(),
            true if proxy && (value.contains("://") || !value.contains('@')) => secret::redact(value),
            true => secret::MASK.to_owned(),
        }
    }

    /// What holds without it in this stack: stacks with the oldest wrapper have their logs elsewhere.
    pub fn default_in(&self, collected: &Collected) -> &'static str {
        let oldest = collected.wrapper.as_ref().is_some_and(|w| w.ends_with("pavics-compose.sh"));
        if self.name == "BIRDHOUSE_LOG_DIR" && oldest { "/var/log/PAVICS" } else { self.default }
    }
}

/// What is shown of a variable's value.
pub fn shown(name: &str, value: &str) -> String {
    match Setting::find(name) {
        Some(setting) => setting.shown(value),
        None => secret::shown(name, value).into_owned(),
    }
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
    setting("BIRDHOUSE_COMPOSE_TEMPLATE_SKIP", None, "false", "true leaves *.template files alone"),
    setting("BIRDHOUSE_COMPOSE_TEMPLATE_FORCE", None, "false", "true renders *.template files whatever is done"),
    setting("BIRDHOUSE_LOG_DIR", Some("PAVICS_LOG_DIR"), "/var/log/birdhouse", "folder of the logs, on the host and inside; absolute (a stack with pavics-compose.sh: /var/log/PAVICS)"),
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
    setting("SCHEDULER_KEEP_RUNS", None, "10000", "how many finished runs stay in the history, with their output; the last one of each job always does"),
    setting("SCHEDULER_KEEP_FOR", None, "365d", "how long they stay there"),
    setting("SCHEDULER_KEEP_OUTPUT", None, "1GB", "how much room their output may take together, compressed; the oldest goes first"),
    setting("SCHEDULER_PIDS_LIMIT", None, "4096", "limit of processes in a job's container where the job does not say"),
    setting("SCHEDULER_START_DELAY", None, "60s", "how long catching up waits after the host has booted"),
    setting("SCHEDULER_IMAGE", None, "tender:latest", "the scheduler's own image, in which built-in jobs run"),
    setting("SCHEDULER_JOB_AUTODEPLOY_IMAGE", None, "", "image of the container in which a stack's own wrapper runs"),
    setting("SCHEDULER_GATE_SOAK", None, "10s", "how long a service without a health check must run before it counts as well"),
    setting("SCHEDULER_GATE_TIMEOUT", None, "3m", "least time that services get to become healthy after a deploy"),
    setting("SCHEDULER_MIN_FREE", None, "2GB", "disk space that must be free before a deploy begins"),
    setting("SCHEDULER_DOCKER_CONFIG", None, "", "folder or file with the registry logins, for every pull, build and compose call; absolute, read-only"),
    setting("SCHEDULER_PROBE_DIRS", None, "", "further folders that env.local and default.env may read files from; absolute"),
    setting("SCHEDULER_CONFIG_POLL", None, "10m", "how often files are looked at that the scheduler itself cannot see; 0 for never"),
    setting("SCHEDULER_JOB_HARDENED", None, "false", "true runs every job hardened that does not say `hardened: false`"),
    setting("SCHEDULER_JOB_PROXY", None, "false", "true gives the proxies of the scheduler to jobs as well"),
    setting("SCHEDULER_LEGACY_JOBS", None, "take-over", "take-over runs the built-in where a file's job of its name runs the legacy script, keep runs the job as written"),
    setting("SCHEDULER_HOST_JOBS", None, "false", "true lets jobs run commands on the host itself"),
    setting("SCHEDULER_REVIVE", None, "false", "true starts services with a restart policy that are down since the engine's start, as after a crash of it"),
    setting("SCHEDULER_POLL_JITTER", None, "0s", "each host starts its autodeploy later by a share of this of its own, so that many do not ask a git host at once"),
    setting("HTTP_PROXY", Some("http_proxy"), "", "proxy for plain http, as http://[user:password@]host:port; git, builds and http jobs use it, the engine's socket never; of both spellings the lower case holds").secret(),
    setting("HTTPS_PROXY", Some("https_proxy"), "", "proxy for https, likewise").secret(),
    setting("ALL_PROXY", Some("all_proxy"), "", "proxy where none of the two is set").secret(),
    setting("NO_PROXY", Some("no_proxy"), "", "hosts that are reached without a proxy, separated by commas; a domain stands for its hosts as well, * for all"),
    setting("SCHEDULER_CA_FILE", None, "", "further certificate authorities (PEM) that git and http jobs trust; absolute"),
    setting("BIRDHOUSE_AUTODEPLOY_FOLLOW", Some("AUTODEPLOY_FOLLOW"), "branch", "what a checkout follows where deploy.yml does not say").later("follow policy", Takes::Text),
    setting("BIRDHOUSE_AUTODEPLOY_REBUILD_FREQUENCY", Some("AUTODEPLOY_REBUILD_FREQUENCY"), "", "schedule of a deploy with fresh base images and no new commit").later("rebuilds", Takes::Schedule),
    setting("BIRDHOUSE_AUTODEPLOY_IMAGE_MIN_AGE", Some("AUTODEPLOY_IMAGE_MIN_AGE"), "", "an image that is younger does not start a rebuild").later("rebuilds", Takes::Duration),
    setting("BIRDHOUSE_AUTODEPLOY_STOP_FIRST", Some("AUTODEPLOY_STOP_FIRST"), "false", "true stops the whole stack for each deploy, as the legacy scheduler did").later("deploys that stop first", Takes::Truth),
    setting("BIRDHOUSE_AUTODEPLOY_NOTEBOOK_FREQUENCY", Some("AUTODEPLOY_NOTEBOOK_FREQUENCY"), "@hourly", "schedule of the job notebookdeploy").later("notebooks", Takes::Schedule),
    setting("WORKFLOW_TESTS_BRANCH", None, "master", "branch of the tutorial notebooks").later("notebooks", Takes::Text),
    setting("JUPYTERHUB_USER_DATA_DIR", None, "", "folder below which tutorial-notebooks lies; absolute").later("notebooks", Takes::Path),
    setting("LOGROTATE_CONFIG_DIRS", None, "", "folders with further rotation rules; absolute").later("rotation rules", Takes::Paths),
    setting("SCHEDULER_JOB_BACKUP_FREQUENCY", None, "1 1 * * *", "schedule of the job backup").later("backup", Takes::Schedule),
    setting("SCHEDULER_JOB_BACKUP_ARGS", None, "", "what the legacy backup job stores, as its options").later("backup", Takes::Words),
    setting("BIRDHOUSE_BACKUP_RESTIC_ENV_FILE", None, "", "file with the repository and its password in restic's own variables; absolute").later("backup", Takes::Path),
    setting("BIRDHOUSE_BACKUP_SSH_KEY_DIR", None, "", "folder with the ssh key of the backup's host; absolute").later("backup", Takes::Path),
    setting("BIRDHOUSE_BACKUP_VOLUME", None, "birdhouse-external-backup", "volume that a restore puts files into").later("backup", Takes::Text),
    setting("BIRDHOUSE_BACKUP_RESTIC_BACKUP_ARGS", None, "", "further options of restic backup").later("backup", Takes::Words),
    setting("BIRDHOUSE_BACKUP_RESTIC_FORGET_ARGS", None, "", "which backups are kept, as options of restic forget").later("backup", Takes::Words),
    setting("SCHEDULER_LISTEN", None, "", "address of the status page on the host, such as 127.0.0.1:8480; without it there is none").later("status page", Takes::Address),
    setting("SCHEDULER_TOKEN", None, "", "token for what the status page may do").later("status page", Takes::Text).secret(),
    setting("SCHEDULER_HEARTBEAT_URL", None, "", "address that is requested every minute as long as jobs are planned").later("heartbeat", Takes::Url).secret(),
    setting("SCHEDULER_NOTIFY", None, "", "where alerts go, as addresses separated by blanks").later("notifications", Takes::Urls).secret(),
    setting("SCHEDULER_OBSERVE", None, "false", "true plans and reports, and changes nothing").later("observing", Takes::Truth),
    setting("SCHEDULER_SELF_UPDATE", None, "on", "off holds the scheduler's own update back").later("self-update", Takes::Truth),
    setting("SCHEDULER_BUILD_MEMORY", None, "", "limit of memory for building the scheduler's own image").later("self-update", Takes::Bytes),
    setting("SCHEDULER_BUILD_CPUS", None, "", "limit of processors for building the scheduler's own image").later("self-update", Takes::Cpus),
    setting("SCHEDULER_ENGINE", None, "docker", "docker, swarm or auto").later("Swarm", Takes::Choice(&["docker", "swarm", "auto"])),
    setting("EXTRA_PACKAGES", None, "", "packages that the scheduler's own image gets when it is built").later("self-update", Takes::Text),
];
