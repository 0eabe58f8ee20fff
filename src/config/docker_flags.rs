//! The table of the flags of `docker run`, `docker create` and `docker exec`.

use std::collections::BTreeMap;
use std::path::Path;

use super::docker_args::{Flaw, Parsed, pull};
use super::docker_values as value;
use super::wrong::Wrong;
use super::{expand::Lookup, values};

/// What values refer to.
pub struct Outside<'a> {
    /// Folder that relative host paths are seen from.
    pub base: &'a Path,
    /// The values of `--env NAME`.
    pub lookup: Lookup<'a>,
}

/// One flag.
pub struct Flag {
    /// Its name.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// What becomes of it.
    pub does: Does,
    /// For flags that do nothing: whether they take a value.
    value: bool,
}

/// What becomes of a flag.
#[derive(Clone, Copy)]
pub enum Does {
    /// It is Tender's business: `--rm`, `--name`.
    Nothing,
    /// Left out, with the reason.
    Ignored(&'static str),
    /// Yes or no.
    Switch(fn(&mut Parsed, bool)),
    /// A value.
    Value(fn(&mut Parsed, &str, &Outside<'_>) -> Result<(), Wrong>),
}

impl Flag {
    /// Whether a value follows it.
    pub const fn takes_value(&self) -> bool {
        match self.does {
            Does::Value(_) => true,
            Does::Switch(_) => false,
            Does::Nothing | Does::Ignored(_) => self.value,
        }
    }
}

const fn set(long: &'static str, apply: fn(&mut Parsed, &str, &Outside<'_>) -> Result<(), Wrong>) -> Flag {
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
fn network(p: &mut Parsed, text: &str) -> Result<(), Wrong> {
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
            _ => return Err(format!("the network option {part:?} is not understood").into()),
        }
    }
    Ok(())
}

fn environment(p: &mut Parsed, text: &str, o: &Outside<'_>) -> Result<(), Wrong> {
    match text.split_once('=') {
        Some(("", _)) => return Err("expected NAME=value".into()),
        Some((name, value)) => {
            p.spec.env.0.insert(name.to_owned(), value.to_owned());
        }
        None => match (o.lookup)(text) {
            Some(value) => {
                p.spec.env.0.insert(text.to_owned(), value);
            }
            None => p.warnings.push(Flaw::new(text, format!("--env {text}: the variable is not set and left out"))),
        },
    }
    Ok(())
}

/// Those of `docker exec`.
pub const EXEC: &[&str] =
    &["detach", "detach-keys", "env", "env-file", "interactive", "privileged", "tty", "user", "workdir"];

const HEALTH: &str = "nobody waits for the health of a job";
const WINDOWS: &str = "it is for Windows";
const DETACHED: &str = "a run is always followed to its end";

/// Those of `docker run` and `docker create`.
#[rustfmt::skip]
pub const FLAGS: &[Flag] = &[
    set("add-host", |p, v, _| { p.spec.extra_hosts.push(v.replacen('=', ":", 1)); Ok(()) }),
    ignored("annotation", true, "engines before version 24 do not know annotations"),
    short('a', nothing("attach", true)),
    set("blkio-weight", |p, v, _| { p.spec.limits.blkio_weight = Some(number(v)?); Ok(()) }),
    set("blkio-weight-device", |p, v, _| { p.spec.limits.blkio_weight_device.push(value::rate(v, false)?); Ok(()) }),
    set("cap-add", |p, v, _| { p.spec.cap_add.push(v.to_owned()); Ok(()) }),
    set("cap-drop", |p, v, _| { p.spec.cap_drop.push(v.to_owned()); Ok(()) }),
    set("cgroup-parent", |p, v, _| { p.spec.cgroup_parent = Some(v.to_owned()); Ok(()) }),
    set("cgroupns", |p, v, _| { p.spec.cgroupns = Some(v.to_owned()); Ok(()) }),
    nothing("cidfile", true),
    ignored("cpu-count", true, WINDOWS),
    ignored("cpu-percent", true, WINDOWS),
    set("cpu-period", |p, v, _| { p.spec.limits.cpu_period = Some(number(v)?); Ok(()) }),
    set("cpu-quota", |p, v, _| { p.spec.limits.cpu_quota = Some(number(v)?); Ok(()) }),
    set("cpu-rt-period", |p, v, _| { p.spec.limits.cpu_rt_period = Some(number(v)?); Ok(()) }),
    set("cpu-rt-runtime", |p, v, _| { p.spec.limits.cpu_rt_runtime = Some(number(v)?); Ok(()) }),
    short('c', set("cpu-shares", |p, v, _| { p.spec.cpu_shares = Some(number(v)?); Ok(()) })),
    set("cpus", |p, v, _| { p.spec.nano_cpus = Some(values::nano_cpus(v)?); Ok(()) }),
    set("cpuset-cpus", |p, v, _| { p.spec.cpuset_cpus = Some(v.to_owned()); Ok(()) }),
    set("cpuset-mems", |p, v, _| { p.spec.limits.cpuset_mems = Some(v.to_owned()); Ok(()) }),
    ignored("credentialspec", true, WINDOWS),
    short('d', ignored("detach", false, DETACHED)),
    nothing("detach-keys", true),
    set("device", |p, v, _| { p.spec.devices.push(value::device(v)); Ok(()) }),
    set("device-cgroup-rule", |p, v, _| { p.spec.device_cgroup_rules.push(v.to_owned()); Ok(()) }),
    set("device-read-bps", |p, v, _| { p.spec.limits.device_read_bps.push(value::rate(v, true)?); Ok(()) }),
    set("device-read-iops", |p, v, _| { p.spec.limits.device_read_iops.push(value::rate(v, false)?); Ok(()) }),
    set("device-write-bps", |p, v, _| { p.spec.limits.device_write_bps.push(value::rate(v, true)?); Ok(()) }),
    set("device-write-iops", |p, v, _| { p.spec.limits.device_write_iops.push(value::rate(v, false)?); Ok(()) }),
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
    set("ip6", |p, v, _| { p.spec.ip6 = Some(v.to_owned()); Ok(()) }),
    set("ipc", |p, v, _| { p.spec.ipc = Some(v.to_owned()); Ok(()) }),
    ignored("isolation", true, WINDOWS),
    ignored("kernel-memory", true, "engines know it no longer"),
    short('l', set("label", |p, v, _| { pair(&mut p.spec.labels, v); Ok(()) })),
    ignored("label-file", true, "labels are for people; give each with --label"),
    set("link", |p, v, _| { p.spec.links.push(v.to_owned()); Ok(()) }),
    set("link-local-ip", |p, v, _| { p.spec.link_local_ips.push(v.to_owned()); Ok(()) }),
    set("log-driver", |p, v, _| { p.spec.log_driver = Some(v.to_owned()); p.warnings.push(Flaw::new(v, format!("--log-driver {v}: output may be incomplete with a log driver of one's own"))); Ok(()) }),
    set("log-opt", |p, v, _| { pair(&mut p.spec.log_opts, v); Ok(()) }),
    set("mac-address", |p, v, _| { p.spec.mac_address = Some(v.to_owned()); Ok(()) }),
    short('m', set("memory", |p, v, _| { p.spec.memory = Some(size(v)?); Ok(()) })),
    set("memory-reservation", |p, v, _| { p.spec.limits.memory_reservation = Some(size(v)?); Ok(()) }),
    set("memory-swap", |p, v, _| { p.spec.memory_swap = Some(if v == "-1" { -1 } else { size(v)? }); Ok(()) }),
    set("memory-swappiness", |p, v, _| { p.spec.limits.memory_swappiness = Some(number(v)?).filter(|s| *s >= 0); Ok(()) }),
    set("mount", |p, v, o| { p.spec.mounts.push(value::mount(v, o.base)?); Ok(()) }),
    nothing("name", true),
    set("net", |p, v, _| network(p, v)),
    set("net-alias", |p, v, _| { p.spec.network_aliases.push(v.to_owned()); Ok(()) }),
    set("network", |p, v, _| network(p, v)),
    set("network-alias", |p, v, _| { p.spec.network_aliases.push(v.to_owned()); Ok(()) }),
    switch("no-healthcheck", |p, on| p.spec.no_healthcheck = on),
    switch("oom-kill-disable", |p, on| p.spec.limits.oom_kill_disable = on),
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
    set("storage-opt", |p, v, _| { pair(&mut p.spec.storage_opts, v); Ok(()) }),
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
            None => p.warnings.push(Flaw::new(v, format!("--volume {v} mounts nothing and is left out"))),
        }
        Ok(())
    })),
    set("volume-driver", |p, v, _| { p.spec.volume_driver = Some(v.to_owned()); Ok(()) }),
    set("volumes-from", |p, v, _| { p.spec.volumes_from.push(v.to_owned()); Ok(()) }),
    short('w', set("workdir", |p, v, _| { p.spec.workdir = Some(v.to_owned()); Ok(()) })),
];
