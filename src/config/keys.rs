//! The table of keys in job files. Who reads a job and who documents it look here.

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name; a key of a mapping below another key is `outer.inner`.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What it is for.
    pub doc: &'static str,
}

const fn key(name: &'static str, takes: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { name, takes, default, doc }
}

/// Keys about a job as a whole.
#[rustfmt::skip]
pub const JOB: &[Key] = &[
    key("name", "text", "made from what it does", "unique name; in a mapping of jobs the key is the name"),
    key("comment", "text", "", "a text for people, never interpreted"),
    key("schedule", "schedule", "needed, unless there is `watch`", "cron line, `@daily`, `@every 90s`, `@reboot`, `@manual`; a leading `#` switches it off"),
    key("watch", "mapping", "", "due when files have changed"),
    key("timezone", "zone", "`SCHEDULER_TIMEZONE`", "zone in which the schedule is read"),
    key("jitter", "duration", "0s", "longest random delay, which spreads a fleet"),
    key("missed", "`skip`, `once`, `all(n)`", "`once`; `skip` if due hourly or more often", "what happens to occurrences while nobody looked"),
    key("deadline", "duration", "1d", "how late it may still start"),
    key("overlap", "`skip`, `queue`, `allow`", "`skip`", "what happens when it is due while it runs"),
    key("locks", "names", "", "jobs that share a lock never run together; `stack` is that of a deploy"),
    key("timeout", "duration, `none`", "1h; `none` in the legacy form", "limit of a run: stop signal, `grace`, kill"),
    key("grace", "duration", "`SCHEDULER_GRACE`", "time between the stop signal and the kill"),
    key("retries", "number or mapping", "0", "further attempts after a failure"),
    key("on_interrupt", "`fail`, `retry`", "`fail`", "what happens when the engine took the run away; `retry` repeats it once"),
    key("onstart", "yes or no", "no", "it also runs once when the scheduler is started"),
    key("enabled", "yes or no", "yes", "no: it runs on request only"),
    key("override", "yes or no", "no", "it takes the place of an earlier definition of its name"),
    key("log", "file name", "`<name>.log`", "its log below the log dir"),
    key("trigger", "actions", "", "legacy name of `on_success`"),
    key("on_success", "actions", "", "further actions after a success, in order"),
    key("on_failure", "actions", "", "actions after the last failed attempt, or after a failure in `on_success`"),
    key("always", "actions", "", "actions at the very end, whatever happened"),
    key("stop", "services", "", "services that are stopped during the run, in this order, and started again whatever happens; takes the lock `stack`"),
    key("ping", "address or mapping", "", "addresses that are asked when it runs"),
    key("notify", "targets or mapping", "everybody", "who is told of its runs; `none` for nobody"),
];

/// Keys about an action: the main one, or one in a list of further actions.
#[rustfmt::skip]
pub const ACTION: &[Key] = &[
    key("run", "image, words or mapping", "", "a new container; a mapping may hold all other keys of the action"),
    key("exec", "service, words or mapping", "", "a command in a running container of a service: the first healthy one, else the first one"),
    key("service-run", "service or mapping", "", "a one-off container of a service, with its image, environment, networks and volumes"),
    key("http", "address or mapping", "", "a request"),
    key("builtin", "name", "", "a program of Tender itself: `autodeploy`, `logrotate`"),
    key("host", "command or mapping", "", "a command on the host itself, as cron runs it; needs `SCHEDULER_HOST_JOBS=true`"),
    key("image", "image", "", "image of the new container; alone it means `run`"),
    key("container", "name", "", "container of `exec`; alone it means `exec`"),
    key("project", "compose project", "", "legacy: with `container`, every running container of that service of that project"),
    key("service", "service", "", "service of `exec` or `service-run`"),
    key("all", "yes or no", "no", "with `exec` and `service`: in every running container of it"),
    key("command", "text or words", "the image's own", "text is split into words; with shell operators `sh -c` runs it inside the container"),
    key("entrypoint", "text or words", "the image's own", "empty resets it"),
    key("dockerargs", "flags", "", "flags of `docker run`, with `container` of `docker exec`"),
    key("volumes", "`source:target[:options]`", "", "mounts; a relative source is seen from the compose dir"),
    key("secrets", "files, or names with files", "", "files that are mounted read-only as `/run/secrets/<name>`"),
    key("env", "`NAME=value` or mapping", "", "environment; a name alone takes the value of the variable"),
    key("environment", "`NAME=value` or mapping", "", "legacy name of `env`"),
    key("env_file", "files", "", "files of `NAME=value` lines"),
    key("network", "networks", "the default bridge", "networks to join, of `http` too; those of the stack's services are `<project>_<name>`"),
    key("ports", "`[address:][port:]port`", "", "published ports"),
    key("expose", "ports", "", "exposed ports"),
    key("user", "`user[:group]`", "the image's own; `root` with `host`", "who the command runs as"),
    key("workdir", "folder", "the image's own; the home with `host`", "where the command begins"),
    key("memory", "size", "", "limit, such as `512M`"),
    key("cpus", "number", "", "limit, such as `1.5`"),
    key("pids", "number", "`SCHEDULER_PIDS_LIMIT`", "limit of processes; -1 for none"),
    key("read_only", "yes or no", "no", "a root file system that cannot be written"),
    key("cap_add", "capabilities", "", "capabilities beyond the usual ones"),
    key("privileged", "yes or no", "no", "all privileges"),
    key("hardened", "yes or no", "`SCHEDULER_JOB_HARDENED`", "no capabilities, no new privileges, read-only root, 1 GB of memory unless said otherwise"),
    key("socket", "yes or no", "no", "the engine's socket, at its usual place"),
    key("pull", "`missing`, `always`, `daily`, `never`", "`missing`", "when the image is pulled before a run"),
    key("direct", "yes or no", "no", "with `exec`: without a holder, and so sooner; when the scheduler ends meanwhile the run is lost. With `stop` it has a holder all the same"),
];

/// Keys of the mappings below other keys.
#[rustfmt::skip]
pub const NESTED: &[Key] = &[
    key("watch.path", "folder", "needed", "folder on the host"),
    key("watch.glob", "pattern", "`*`", "which of its files count; `**` goes into folders"),
    key("watch.settle", "duration", "30s", "how long nothing may change before it counts"),
    key("watch.poll", "duration", "1m", "how often it is looked at"),
    key("retries.max", "number", "1", "how many attempts beyond the first"),
    key("retries.backoff", "duration", "10s", "pause before the first of them"),
    key("retries.factor", "1 to 100", "2", "what the pause is multiplied by each time"),
    key("retries.max_backoff", "duration", "10m", "longest pause"),
    key("retries.on", "exit codes", "all", "codes that are worth another attempt"),
    key("missed.all", "number", "", "the newest so many are caught up"),
    key("http.url", "address", "needed", "`http://` or `https://`"),
    key("http.method", "word", "`GET`; `POST` with a body", "method of the request"),
    key("http.headers", "mapping", "", "header lines"),
    key("http.body", "text", "", "what is sent"),
    key("http.status", "codes", "`2xx`", "codes that are a success: `200`, `2xx`, `200-299`"),
    key("http.timeout", "duration", "30s", "limit of the whole exchange"),
    key("ping.start", "address", "", "asked before the main action"),
    key("ping.success", "address", "", "asked after a success; `ping: ADDRESS` means this one"),
    key("ping.failure", "address", "", "asked after a failure"),
    key("notify.to", "targets", "all", "names of targets"),
    key("notify.on", "events", "all", "`failed`, `recovered`, `late`, `stuck`, `missed`"),
];

/// The names of keys.
pub fn names(keys: &'static [Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

/// The names of the keys below another one, without it.
pub fn below(outer: &str) -> Vec<&'static str> {
    let inner = |key: &Key| key.name.split_once('.').filter(|(first, _)| *first == outer).map(|(_, inner)| inner);
    NESTED.iter().filter_map(inner).collect()
}

/// All keys of job files as Markdown tables.
pub fn job_keys_markdown() -> String {
    let mut text = String::new();
    for (title, keys) in [("A job", JOB), ("An action", ACTION), ("Mappings below a key", NESTED)] {
        text.push_str(&format!("### {title}\n\n| key | takes | default | what for |\n|---|---|---|---|\n"));
        for Key { name, takes, default, doc } in keys {
            text.push_str(&format!("| `{name}` | {takes} | {default} | {doc} |\n"));
        }
        text.push('\n');
    }
    text
}
