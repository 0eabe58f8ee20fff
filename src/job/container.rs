//! What a container is made of, in the terms of `docker run`, without strings left to parse.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret::Environment;

/// A container to create. The name is not part of it: that is the occurrence's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Image reference or id.
    pub image: String,
    /// Words after the image; empty means the image's own.
    pub command: Vec<String>,
    /// `None`: the image's own; `Some([])`: reset to nothing.
    pub entrypoint: Option<Vec<String>>,
    /// Environment beyond the image's.
    pub env: Environment,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Paths of the host among them that may be missing: the container does without those that are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub optional: Vec<PathBuf>,
    /// Networks by name, or one of `bridge`, `host`, `none`, `container:<id>`. Empty: the default bridge.
    pub networks: Vec<String>,
    /// Aliases in its networks.
    pub network_aliases: Vec<String>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// Working directory.
    pub workdir: Option<String>,
    /// Labels beyond Tender's own.
    pub labels: BTreeMap<String, String>,
    /// All privileges.
    pub privileged: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// `--security-opt`.
    pub security_opt: Vec<String>,
    /// Root file system read-only.
    pub read_only: bool,
    /// Memory limit in bytes.
    pub memory: Option<i64>,
    /// Swap limit in bytes including memory; -1 for no limit.
    pub memory_swap: Option<i64>,
    /// Processor limit in 10⁻⁹ processors.
    pub nano_cpus: Option<i64>,
    /// Relative processor weight.
    pub cpu_shares: Option<i64>,
    /// Processors that may be used, such as `0-1`.
    pub cpuset_cpus: Option<String>,
    /// Limit of processes.
    pub pids: Option<i64>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Domain name inside.
    pub domainname: Option<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// DNS search domains.
    pub dns_search: Vec<String>,
    /// DNS options.
    pub dns_option: Vec<String>,
    /// `host:address` lines for `/etc/hosts`.
    pub extra_hosts: Vec<String>,
    /// Published ports.
    pub ports: Vec<Port>,
    /// Exposed ports, such as `80/tcp`.
    pub expose: Vec<String>,
    /// All exposed ports published.
    pub publish_all: bool,
    /// Devices, as `host:container:permissions`.
    pub devices: Vec<String>,
    /// Rules for device groups.
    pub device_cgroup_rules: Vec<String>,
    /// Resource limits.
    pub ulimits: Vec<Ulimit>,
    /// Further groups of the process.
    pub group_add: Vec<String>,
    /// An init process as PID 1.
    pub init: Option<bool>,
    /// PID namespace: `host` or `container:<id>`.
    pub pid: Option<String>,
    /// IPC namespace.
    pub ipc: Option<String>,
    /// UTS namespace.
    pub uts: Option<String>,
    /// User namespace: `host`.
    pub userns: Option<String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<i64>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Signal that asks it to stop.
    pub stop_signal: Option<String>,
    /// Platform such as `linux/amd64`.
    pub platform: Option<String>,
    /// Runtime of the engine.
    pub runtime: Option<String>,
    /// Parent cgroup.
    pub cgroup_parent: Option<String>,
    /// `private` or `host`.
    pub cgroupns: Option<String>,
    /// Preference of the kernel's OOM killer, -1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// Containers whose mounts are taken over.
    pub volumes_from: Vec<String>,
    /// Legacy links.
    pub links: Vec<String>,
    /// MAC address.
    pub mac_address: Option<String>,
    /// IPv4 address in its first network.
    pub ip: Option<String>,
    /// IPv6 address in its first network.
    pub ip6: Option<String>,
    /// Link-local addresses in its first network.
    pub link_local_ips: Vec<String>,
    /// Limits that are seldom asked for.
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// Driver of anonymous and new volumes.
    pub volume_driver: Option<String>,
    /// Options of the storage driver.
    pub storage_opts: BTreeMap<String, String>,
    /// GPU request as written, such as `all`.
    pub gpus: Option<String>,
    /// Health check disabled.
    pub no_healthcheck: bool,
    /// Log driver; `None` gives `json-file` without a size limit, the only one followed without loss.
    pub log_driver: Option<String>,
    /// Options of the log driver.
    pub log_opts: BTreeMap<String, String>,
    /// When to pull the image.
    pub pull: PullPolicy,
}

impl ContainerSpec {
    /// Adds what another one says about environment, mounts, networks, names and groups; where both
    /// speak of the same, this one holds. Nothing is added that gives more privileges.
    pub fn add_extra(&mut self, extra: &Self) {
        for (name, value) in &extra.env.0 {
            self.env.0.entry(name.clone()).or_insert_with(|| value.clone());
        }
        for mount in &extra.mounts {
            if !self.mounts.iter().any(|own| own.target == mount.target) {
                self.mounts.push(mount.clone());
            }
        }
        self.optional.extend_from_slice(&extra.optional);
        if !extra.networks.is_empty() {
            self.networks.clone_from(&extra.networks);
        }
        for (name, value) in &extra.labels {
            self.labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self.network_aliases.extend_from_slice(&extra.network_aliases);
        self.extra_hosts.extend_from_slice(&extra.extra_hosts);
        self.dns.extend_from_slice(&extra.dns);
        self.dns_search.extend_from_slice(&extra.dns_search);
        self.dns_option.extend_from_slice(&extra.dns_option);
        self.group_add.extend_from_slice(&extra.group_add);
    }

    /// Takes out what [`ContainerSpec::add_extra`] adds to another one.
    pub fn forget_extra(&mut self) {
        self.env.0.clear();
        self.mounts.clear();
        self.optional.clear();
        self.networks.clear();
        self.labels.clear();
        let Self { network_aliases, extra_hosts, dns, dns_search, dns_option, group_add, .. } = self;
        for list in [network_aliases, extra_hosts, dns, dns_search, dns_option, group_add] {
            list.clear();
        }
    }
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where, an absolute path inside.
    pub target: PathBuf,
    /// Not writable.
    #[serde(default)]
    pub read_only: bool,
    /// Bind propagation (`rslave`, …) or volume flags (`nocopy`), as `docker run -v` takes them.
    #[serde(default)]
    pub options: Vec<String>,
    /// A missing host path is created, as `docker run -v` does. Tender's own mounts never do.
    #[serde(default)]
    pub create: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// A path of the host.
    Bind(PathBuf),
    /// A named volume.
    Volume(String),
    /// An anonymous volume.
    Anonymous,
    /// Memory, with the options of `--tmpfs`.
    Tmpfs(String),
}

impl Mount {
    /// A host path at the same path inside, which must exist.
    pub fn same_path(path: impl Into<PathBuf>, read_only: bool) -> Self {
        let path = path.into();
        Self { source: MountSource::Bind(path.clone()), target: path, read_only, options: vec![], create: false }
    }

    /// A host path at another path inside, which must exist.
    pub fn bind(source: impl Into<PathBuf>, target: impl Into<PathBuf>, read_only: bool) -> Self {
        Self {
            source: MountSource::Bind(source.into()),
            target: target.into(),
            read_only,
            options: vec![],
            create: false,
        }
    }
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Address of the host; `None` for all.
    pub host_ip: Option<String>,
    /// Port or range of the host; `None` lets the engine choose.
    pub host_port: Option<String>,
    /// Port inside with protocol, such as `80/tcp`.
    pub container: String,
}

/// A resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Such as `nofile`.
    pub name: String,
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// Limits of a container that are seldom asked for, as `docker run` has them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Relative weight of block I/O, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// The same by device.
    pub blkio_weight_device: Vec<Rate>,
    /// Bytes read a second, by device.
    pub device_read_bps: Vec<Rate>,
    /// Bytes written a second, by device.
    pub device_write_bps: Vec<Rate>,
    /// Reads a second, by device.
    pub device_read_iops: Vec<Rate>,
    /// Writes a second, by device.
    pub device_write_iops: Vec<Rate>,
    /// Period of the processor quota in microseconds.
    pub cpu_period: Option<i64>,
    /// Processor time a period in microseconds.
    pub cpu_quota: Option<i64>,
    /// Period of real-time processes in microseconds.
    pub cpu_rt_period: Option<i64>,
    /// Time of real-time processes a period in microseconds.
    pub cpu_rt_runtime: Option<i64>,
    /// Memory nodes that may be used, such as `0-1`.
    pub cpuset_mems: Option<String>,
    /// Memory in bytes that it is held to when memory is short.
    pub memory_reservation: Option<i64>,
    /// 0 to 100.
    pub memory_swappiness: Option<i64>,
    /// The kernel never kills it for its memory.
    pub oom_kill_disable: bool,
}

impl Limits {
    /// Whether none is set.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A number for one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The device, such as `/dev/sda`.
    pub path: PathBuf,
    /// How much.
    pub rate: i64,
}

/// When an image is pulled before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// When it is not there.
    #[default]
    Missing,
    /// Before each run; on failure the local image serves, with a warning.
    Always,
    /// When it is not there, and when a day has passed since this scheduler pulled it; on failure
    /// the local image serves, with a warning.
    Daily,
    /// Never.
    Never,
}
