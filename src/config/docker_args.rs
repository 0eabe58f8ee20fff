//! `dockerargs`: the flags of `docker run` and `docker exec`, understood as the CLI does.

use std::collections::BTreeMap;
use std::path::Path;

use super::docker_values as value;
use super::names::nearest;
use super::{expand::Lookup, values, words};
use crate::job::{ContainerSpec, PullPolicy};

/// What became of the flags.
#[derive(Debug, Default, PartialEq)]
pub struct Parsed {
    /// What they say about the container.
    pub spec: ContainerSpec,
    /// `--env-file`, in order.
    pub env_files: Vec<String>,
    /// `--use-api-socket`.
    pub socket: bool,
    /// What was left out.
    pub warnings: Vec<String>,
    /// What cannot be.
    pub errors: Vec<String>,
}

/// For which command the flags are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// `docker run`.
    Run,
    /// `docker exec`.
    Exec,
}

/// Reads a text of flags. Relative host paths are seen from `base`; `lookup` gives the values of
/// `--env NAME`.
pub fn parse(text: &str, purpose: For, base: &Path, lookup: Lookup<'_>) -> Parsed {
    let mut parsed = Parsed::default();
    let words = match words::words(text) {
        Ok(words) => words,
        Err(error) => {
            parsed.errors.push(error);
            return parsed;
        }
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        for (name, given) in flags_of(&word) {
            let Some(flag) = FLAGS.iter().find(|f| f.long == name || f.short == name.chars().next() && name.len() == 1)
            else {
                let near = nearest(&name, FLAGS.iter().map(|f| f.long));
                let near = near.map(|n| format!("; did you mean --{n}?")).unwrap_or_default();
                let word = crate::secret::shown(word.split('=').next().unwrap_or_default(), &word);
                parsed.errors.push(format!("{word} is no flag of docker run{near}"));
                continue;
            };
            if purpose == For::Exec && !EXEC.contains(&flag.long) {
                parsed.errors.push(format!("--{} is no flag of docker exec", flag.long));
            }
            let value = match (flag.takes_value(), given) {
                (true, Some(value)) => value,
                (true, None) => match words.next() {
                    Some(value) => value,
                    None => {
                        parsed.errors.push(format!("--{} needs a value", flag.long));
                        continue;
                    }
                },
                (false, given) => given.unwrap_or_else(|| "true".to_owned()),
            };
            let result = match flag.does {
                Does::Nothing => Ok(()),
                Does::Ignored(why) => {
                    parsed.warnings.push(format!("--{} is ignored: {why}", flag.long));
                    Ok(())
                }
                Does::Switch(apply) => match values::truth(&value) {
                    Some(on) => {
                        apply(&mut parsed, on);
                        Ok(())
                    }
                    None => Err("expected true or false".to_owned()),
                },
                Does::Value(apply) => apply(&mut parsed, &value, &Outside { base, lookup }),
            };
            if let Err(error) = result {
                let value = crate::secret::shown(value.split('=').next().unwrap_or_default(), &value);
                parsed.errors.push(format!("--{} {value}: {error}", flag.long));
            }
        }
    }
    parsed
}

/// The flags in one word with the value that is part of it: `--name=value`, `-it`, `-eVALUE`.
fn flags_of(word: &str) -> Vec<(String, Option<String>)> {
    if let Some(long) = word.strip_prefix("--") {
        return vec![match long.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (long.to_owned(), None),
        }];
    }
    let Some(mut short) = word.strip_prefix('-').filter(|s| !s.is_empty()) else {
        return vec![(word.to_owned(), None)];
    };
    let mut flags = Vec::new();
    while let Some(letter) = short.chars().next() {
        short = &short[letter.len_utf8()..];
        let takes = FLAGS.iter().any(|f| f.short == Some(letter) && f.takes_value());
        let value = if takes && !short.is_empty() {
            Some(std::mem::take(&mut short))
        } else {
            // `-t=false`
            short.strip_prefix('=').inspect(|_| short = "")
        };
        flags.push((letter.to_string(), value.map(|v| v.strip_prefix('=').unwrap_or(v).to_owned())));
    }
    flags
}

struct Outside<'a> {
    base: &'a Path,
    lookup: Lookup<'a>,
}

struct Flag {
    long: &'static str,
    short: Option<char>,
    does: Does,
    /// For flags that do nothing: whether they take a value.
    value: bool,
}

#[derive(Clone, Copy)]
enum Does {
    /// It is Tender's business: `--rm`, `--name`.
    Nothing,
    /// Left out, with the reason.
    Ignored(&'static str),
    Switch(fn(&mut Parsed, bool)),
    Value(fn(&mut Parsed, &str, &Outside<'_>) -> Result<(), String>),
}

impl Flag {
    const fn takes_value(&self) -> bool {
        match self.does {
            Does::Value(_) => true,
            Does::Switch(_) => false,
            Does::Nothing | Does::Ignored(_) => self.value,
        }
    }
}

const fn set(long: &'static str, apply: fn(&mut Parsed, &str, &Outside<'_>) -> Result<(), String>) -> Flag {
    Flag { long, short: None, does: Does::Value(apply), value: true }
}

const fn switch(long: &'static str, apply: fn(&mut Parsed, bool)) -> Flag {
    Flag { long, short: None, does: Does::Switch(apply), value: false }
}

const fn nothing(long: &'static str, value: bool) -> Flag {
    Flag { long, short: None, does: Does::Nothing, value }
}

const fn ignored(long: &'static str, value: bool, why: &'static str) -> Flag {
    Flag { long, short: None, does: Does::Ignored(why), value }
}

const fn short(letter: char, flag: Flag) -> Flag {
    Flag { short: Some(letter), ..flag }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| "expected a number".to_owned())
}

fn size(text: &str) -> Result<i64, String> {
    i64::try_from(values::bytes(text)?).map_err(|_| "too large".to_owned())
}

fn pair(map: &mut BTreeMap<String, String>, text: &str) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    map.insert(name.to_owned(), value.to_owned());
}

/// `--network name` or `--network name=…,alias=…,ip=…`.
fn network(p: &mut Parsed, text: &str) -> Result<(), String> {
    if !text.contains('=') {
        p.spec.networks.push(text.to_owned());
        return Ok(());
    }
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("name", name)) => p.spec.networks.push(name.to_owned()),
            Some(("alias", alias)) => p.spec.network_aliases.push(alias.to_owned()),
            Some(("ip", ip)) => p.spec.ip = Some(ip.to_owned()),
            Some(("mac-address", mac)) => p.spec.mac_address = Some(mac.to_owned()),
            _ => return Err(format!("the network option {part:?} is not understood")),
        }
    }
    Ok(())
}

fn environment(p: &mut Parsed, text: &str, o: &Outside<'_>) -> Result<(), String> {
    match text.split_once('=') {
        Some(("", _)) => return Err("expected NAME=value".to_owned()),
        Some((name, value)) => {
            p.spec.env.0.insert(name.to_owned(), value.to_owned());
        }
        None => match (o.lookup)(text) {
            Some(value) => {
                p.spec.env.0.insert(text.to_owned(), value);
            }
            None => p.warnings.push(format!("--env {text}: the variable is not set and left out")),
        },
    }
    Ok(())
}

const EXEC: &[&str] =
    &["detach", "detach-keys", "env", "env-file", "interactive", "privileged", "tty", "user", "workdir"];

const LIMIT: &str = "this limit is not supported";
const HEALTH: &str = "nobody waits for the health of a job";
const WINDOWS: &str = "it is for Windows";
const DETACHED: &str = "a run is always followed to its end";

#[rustfmt::skip]
const FLAGS: &[Flag] = &[
    set("add-host", |p, v, _| { p.spec.extra_hosts.push(v.replacen('=', ":", 1)); Ok(()) }),
    ignored("annotation", true, "annotations are not supported"),
    short('a', nothing("attach", true)),
    ignored("blkio-weight", true, LIMIT),
    ignored("blkio-weight-device", true, LIMIT),
    set("cap-add", |p, v, _| { p.spec.cap_add.push(v.to_owned()); Ok(()) }),
    set("cap-drop", |p, v, _| { p.spec.cap_drop.push(v.to_owned()); Ok(()) }),
    set("cgroup-parent", |p, v, _| { p.spec.cgroup_parent = Some(v.to_owned()); Ok(()) }),
    set("cgroupns", |p, v, _| { p.spec.cgroupns = Some(v.to_owned()); Ok(()) }),
    nothing("cidfile", true),
    ignored("cpu-count", true, WINDOWS),
    ignored("cpu-percent", true, WINDOWS),
    ignored("cpu-period", true, "use --cpus"),
    ignored("cpu-quota", true, "use --cpus"),
    ignored("cpu-rt-period", true, LIMIT),
    ignored("cpu-rt-runtime", true, LIMIT),
    short('c', set("cpu-shares", |p, v, _| { p.spec.cpu_shares = Some(number(v)?); Ok(()) })),
    set("cpus", |p, v, _| { p.spec.nano_cpus = Some(values::nano_cpus(v)?); Ok(()) }),
    set("cpuset-cpus", |p, v, _| { p.spec.cpuset_cpus = Some(v.to_owned()); Ok(()) }),
    ignored("cpuset-mems", true, LIMIT),
    ignored("credentialspec", true, WINDOWS),
    short('d', ignored("detach", false, DETACHED)),
    nothing("detach-keys", true),
    set("device", |p, v, _| { p.spec.devices.push(value::device(v)); Ok(()) }),
    set("device-cgroup-rule", |p, v, _| { p.spec.device_cgroup_rules.push(v.to_owned()); Ok(()) }),
    ignored("device-read-bps", true, LIMIT),
    ignored("device-read-iops", true, LIMIT),
    ignored("device-write-bps", true, LIMIT),
    ignored("device-write-iops", true, LIMIT),
    nothing("disable-content-trust", false),
    set("dns", |p, v, _| { p.spec.dns.push(v.to_owned()); Ok(()) }),
    set("dns-opt", |p, v, _| { p.spec.dns_option.push(v.to_owned()); Ok(()) }),
    set("dns-option", |p, v, _| { p.spec.dns_option.push(v.to_owned()); Ok(()) }),
    set("dns-search", |p, v, _| { p.spec.dns_search.push(v.to_owned()); Ok(()) }),
    set("domainname", |p, v, _| { p.spec.domainname = Some(v.to_owned()); Ok(()) }),
    set("entrypoint", |p, v, _| { p.spec.entrypoint = Some(Some(v.to_owned()).filter(|v| !v.is_empty()).into_iter().collect()); Ok(()) }),
    short('e', set("env", environment)),
    set("env-file", |p, v, _| { p.env_files.push(v.to_owned()); Ok(()) }),
    set("expose", |p, v, _| { p.spec.expose.push(value::expose(v)?); Ok(()) }),
    set("gpus", |p, v, _| { p.spec.gpus = Some(v.to_owned()); Ok(()) }),
    set("group-add", |p, v, _| { p.spec.group_add.push(v.to_owned()); Ok(()) }),
    ignored("health-cmd", true, HEALTH),
    ignored("health-interval", true, HEALTH),
    ignored("health-retries", true, HEALTH),
    ignored("health-start-interval", true, HEALTH),
    ignored("health-start-period", true, HEALTH),
    ignored("health-timeout", true, HEALTH),
    nothing("help", false),
    short('h', set("hostname", |p, v, _| { p.spec.hostname = Some(v.to_owned()); Ok(()) })),
    switch("init", |p, on| p.spec.init = Some(on)),
    short('i', nothing("interactive", false)),
    ignored("io-maxbandwidth", true, WINDOWS),
    ignored("io-maxiops", true, WINDOWS),
    set("ip", |p, v, _| { p.spec.ip = Some(v.to_owned()); Ok(()) }),
    ignored("ip6", true, "a fixed IPv6 address is not supported"),
    set("ipc", |p, v, _| { p.spec.ipc = Some(v.to_owned()); Ok(()) }),
    ignored("isolation", true, WINDOWS),
    ignored("kernel-memory", true, "engines know it no longer"),
    short('l', set("label", |p, v, _| { pair(&mut p.spec.labels, v); Ok(()) })),
    ignored("label-file", true, "give the labels by --label"),
    set("link", |p, v, _| { p.spec.links.push(v.to_owned()); Ok(()) }),
    ignored("link-local-ip", true, "link-local addresses are not supported"),
    set("log-driver", |p, v, _| { p.spec.log_driver = Some(v.to_owned()); p.warnings.push(format!("--log-driver {v}: output may be incomplete with a log driver of one's own")); Ok(()) }),
    set("log-opt", |p, v, _| { pair(&mut p.spec.log_opts, v); Ok(()) }),
    set("mac-address", |p, v, _| { p.spec.mac_address = Some(v.to_owned()); Ok(()) }),
    short('m', set("memory", |p, v, _| { p.spec.memory = Some(size(v)?); Ok(()) })),
    ignored("memory-reservation", true, "use --memory"),
    set("memory-swap", |p, v, _| { p.spec.memory_swap = Some(if v == "-1" { -1 } else { size(v)? }); Ok(()) }),
    ignored("memory-swappiness", true, LIMIT),
    set("mount", |p, v, o| { p.spec.mounts.push(value::mount(v, o.base)?); Ok(()) }),
    nothing("name", true),
    set("net", |p, v, _| network(p, v)),
    set("net-alias", |p, v, _| { p.spec.network_aliases.push(v.to_owned()); Ok(()) }),
    set("network", |p, v, _| network(p, v)),
    set("network-alias", |p, v, _| { p.spec.network_aliases.push(v.to_owned()); Ok(()) }),
    switch("no-healthcheck", |p, on| p.spec.no_healthcheck = on),
    ignored("oom-kill-disable", false, "it can stop a whole host"),
    set("oom-score-adj", |p, v, _| { p.spec.oom_score_adj = Some(number(v)?); Ok(()) }),
    set("pid", |p, v, _| { p.spec.pid = Some(v.to_owned()); Ok(()) }),
    set("pids-limit", |p, v, _| { p.spec.pids = Some(number(v)?); Ok(()) }),
    set("platform", |p, v, _| { p.spec.platform = Some(v.to_owned()); Ok(()) }),
    switch("privileged", |p, on| p.spec.privileged = on),
    short('p', set("publish", |p, v, _| { p.spec.ports.push(value::port(v)?); Ok(()) })),
    short('P', switch("publish-all", |p, on| p.spec.publish_all = on)),
    set("pull", |p, v, _| { p.spec.pull = pull(v)?; Ok(()) }),
    short('q', nothing("quiet", false)),
    switch("read-only", |p, on| p.spec.read_only = on),
    nothing("restart", true),
    nothing("rm", false),
    set("runtime", |p, v, _| { p.spec.runtime = Some(v.to_owned()); Ok(()) }),
    set("security-opt", |p, v, _| { p.spec.security_opt.push(v.to_owned()); Ok(()) }),
    set("shm-size", |p, v, _| { p.spec.shm_size = Some(size(v)?); Ok(()) }),
    nothing("sig-proxy", false),
    set("stop-signal", |p, v, _| { p.spec.stop_signal = Some(v.to_owned()); Ok(()) }),
    ignored("stop-timeout", true, "say `grace:` in the job"),
    ignored("storage-opt", true, "options of the storage driver are not supported"),
    set("sysctl", |p, v, _| { pair(&mut p.spec.sysctls, v); Ok(()) }),
    set("tmpfs", |p, v, _| { p.spec.mounts.push(value::tmpfs(v)?); Ok(()) }),
    short('t', ignored("tty", false, "a terminal would mix output and errors")),
    set("ulimit", |p, v, _| { p.spec.ulimits.push(value::ulimit(v)?); Ok(()) }),
    switch("use-api-socket", |p, on| p.socket = on),
    short('u', set("user", |p, v, _| { p.spec.user = Some(v.to_owned()); Ok(()) })),
    set("userns", |p, v, _| { p.spec.userns = Some(v.to_owned()); Ok(()) }),
    set("uts", |p, v, _| { p.spec.uts = Some(v.to_owned()); Ok(()) }),
    short('v', set("volume", |p, v, o| {
        match value::volume(v, o.base)? {
            Some(mount) => p.spec.mounts.push(mount),
            None => p.warnings.push(format!("--volume {v} mounts nothing and is left out")),
        }
        Ok(())
    })),
    ignored("volume-driver", true, "make the volume with its driver before"),
    set("volumes-from", |p, v, _| { p.spec.volumes_from.push(v.to_owned()); Ok(()) }),
    short('w', set("workdir", |p, v, _| { p.spec.workdir = Some(v.to_owned()); Ok(()) })),
];

/// When to pull.
///
/// # Errors
/// Says what was expected.
pub fn pull(text: &str) -> Result<PullPolicy, String> {
    match text {
        "missing" => Ok(PullPolicy::Missing),
        "always" => Ok(PullPolicy::Always),
        "never" => Ok(PullPolicy::Never),
        "daily" => Ok(PullPolicy::Daily),
        _ => Err("expected missing, always, daily or never".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Parsed {
        parse(text, For::Run, Path::new("/s"), &|name| (name == "KNOWN").then(|| "v".to_owned()))
    }

    /// Every flag of `docker run` of version 28, as its help lists them.
    const CLI_28: &str = "add-host attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile \
        cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems detach detach-keys \
        device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops \
        disable-content-trust dns dns-option dns-search domainname entrypoint env env-file expose gpus group-add \
        health-cmd health-interval health-retries health-start-interval health-start-period health-timeout help hostname init \
        interactive ip ip6 ipc isolation kernel-memory label label-file link link-local-ip log-driver log-opt \
        mac-address memory memory-reservation memory-swap memory-swappiness mount name network network-alias \
        no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged publish publish-all pull quiet \
        read-only restart rm runtime security-opt shm-size sig-proxy stop-signal stop-timeout storage-opt sysctl tmpfs \
        tty ulimit use-api-socket user userns uts volume volume-driver volumes-from workdir annotation";

    #[test]
    fn knows_the_whole_command_line() {
        for name in CLI_28.split_whitespace() {
            assert!(FLAGS.iter().any(|f| f.long == name), "{name}");
        }
        let mut letters: Vec<char> = FLAGS.iter().filter_map(|f| f.short).collect();
        letters.sort_unstable();
        assert_eq!(letters.iter().collect::<String>(), "Pacdehilmpqtuvw");
    }

    #[test]
    fn forms_of_flags() {
        let p = run("--rm -it --name x -eA=1 -e B=2 --env=C=3 --env KNOWN -v=/a:/b:ro --volume /c:/d\n  \
            --network=n1 --network name=n2,alias=w -u 1:2 --privileged --init=false -m 512m --cpus 1.5 --entrypoint '' \
            -p 80:80 --pull always --label a=b --env-file x.env");
        assert_eq!(p.errors, Vec::<String>::new());
        assert_eq!(p.warnings, ["--tty is ignored: a terminal would mix output and errors"]);
        let env: Vec<_> = p.spec.env.0.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(env, ["A=1", "B=2", "C=3", "KNOWN=v"]);
        assert_eq!(p.spec.mounts.len(), 2);
        assert_eq!(p.spec.networks, ["n1", "n2"]);
        assert_eq!((p.spec.privileged, p.spec.init), (true, Some(false)));
        assert_eq!((p.spec.memory, p.spec.nano_cpus), (Some(512 << 20), Some(1_500_000_000)));
        assert_eq!(p.spec.entrypoint, Some(vec![]));
        assert_eq!(p.env_files, ["x.env"]);
    }

    #[test]
    fn what_is_no_flag_and_what_is_empty() {
        assert_eq!(run("--volum /a:/b").errors[0], "--volum is no flag of docker run; did you mean --volume?");
        assert!(run("image").errors[0].contains("image is no flag"));
        assert!(run("--user").errors[0].contains("needs a value"));
        assert!(run("--volume ::rw").warnings[0].contains("left out"));
        assert!(run("--env DB_PASSWORD=hunter2 --ulimit x").errors[0].contains("expected name=soft"));
        let exec = parse("-u 0 --volume /a:/b", For::Exec, Path::new("/"), &|_| None);
        assert_eq!((exec.spec.user.as_deref(), exec.errors.len()), (Some("0"), 1));
    }
}
