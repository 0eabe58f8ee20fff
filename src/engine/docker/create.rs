//! From a spec to the body of a create.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigCgroupnsModeEnum, HostConfigLogConfig, NetworkingConfig, PortBinding, ResourcesBlkioWeightDevice,
    ResourcesUlimits, ThrottleDevice,
};

use super::mounts;
use crate::engine::{EngineError, Result};
use crate::job::{ContainerSpec, Limits, Rate};

/// Label with the networks after the first, one a line, each followed by the aliases. The API takes
/// one network at create, so these are joined before the start: a crash in between forgets none.
pub(super) const NETWORKS_LABEL: &str = "tender.networks";

/// Reads [`NETWORKS_LABEL`] back: names, each with its aliases.
pub(super) fn further_networks(label: &str) -> Vec<(String, EndpointSettings)> {
    let read = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let name = words.next()?;
        let aliases: Vec<String> = words.collect();
        Some((name, EndpointSettings { aliases: some_list(&aliases), ..EndpointSettings::default() }))
    };
    label.lines().filter_map(read).collect()
}

/// The body of the create call.
pub(super) fn body(spec: &ContainerSpec) -> Result<ContainerCreateBody> {
    let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
    if spec.networks.len() > 1 {
        let line = |n: &String| [std::slice::from_ref(n), &spec.network_aliases].concat().join(" ");
        labels.insert(NETWORKS_LABEL.to_owned(), spec.networks[1..].iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    let mut exposed = spec.expose.clone();
    exposed.extend(spec.ports.iter().map(|p| p.container.clone()));
    exposed.sort();
    exposed.dedup();
    Ok(ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: some_list(&spec.command),
        // The engine takes an empty list for "not said"; one empty word resets.
        entrypoint: spec.entrypoint.clone().map(|e| if e.is_empty() { vec![String::new()] } else { e }),
        env: Some(spec.env.0.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        user: spec.user.clone(),
        working_dir: spec.workdir.clone(),
        labels: Some(labels),
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        exposed_ports: some_list(&exposed),
        stop_signal: spec.stop_signal.clone(),
        healthcheck: spec
            .no_healthcheck
            .then(|| HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        tty: Some(false),
        host_config: Some(host_config(spec)?),
        networking_config: networking(spec),
        ..ContainerCreateBody::default()
    })
}

fn host_config(spec: &ContainerSpec) -> Result<HostConfig> {
    let systempaths = |o: &String| o == "systempaths=unconfined" || o == "systempaths:unconfined";
    let bare = spec.security_opt.iter().any(systempaths);
    let mut host = HostConfig {
        network_mode: spec.networks.first().cloned().or_else(|| Some("default".to_owned())),
        privileged: Some(spec.privileged),
        cap_add: some_list(&spec.cap_add),
        cap_drop: some_list(&spec.cap_drop),
        security_opt: some_list(&spec.security_opt.iter().filter(|o| !systempaths(o)).cloned().collect::<Vec<_>>()),
        masked_paths: bare.then(Vec::new),
        readonly_paths: bare.then(Vec::new),
        readonly_rootfs: Some(spec.read_only),
        memory: spec.memory,
        memory_swap: spec.memory_swap,
        nano_cpus: spec.nano_cpus,
        cpu_shares: spec.cpu_shares,
        cpuset_cpus: spec.cpuset_cpus.clone(),
        pids_limit: spec.pids,
        dns: some_list(&spec.dns),
        dns_search: some_list(&spec.dns_search),
        dns_options: some_list(&spec.dns_option),
        extra_hosts: some_list(&spec.extra_hosts),
        port_bindings: ports(spec),
        publish_all_ports: Some(spec.publish_all),
        devices: some_list(&spec.devices.iter().map(|d| device(d)).collect::<Vec<_>>()),
        device_cgroup_rules: some_list(&spec.device_cgroup_rules),
        device_requests: spec.gpus.as_deref().map(gpus).transpose()?.map(|r| vec![r]),
        ulimits: some_list(&ulimits(spec)),
        group_add: some_list(&spec.group_add),
        init: spec.init,
        pid_mode: spec.pid.clone(),
        ipc_mode: spec.ipc.clone(),
        uts_mode: spec.uts.clone(),
        userns_mode: spec.userns.clone(),
        shm_size: spec.shm_size,
        sysctls: (!spec.sysctls.is_empty()).then(|| spec.sysctls.clone().into_iter().collect()),
        runtime: spec.runtime.clone(),
        cgroup_parent: spec.cgroup_parent.clone(),
        cgroupns_mode: spec.cgroupns.as_deref().map(cgroupns).transpose()?,
        oom_score_adj: spec.oom_score_adj,
        volumes_from: some_list(&spec.volumes_from),
        links: some_list(&spec.links),
        log_config: Some(log_config(spec)),
        volume_driver: spec.volume_driver.clone(),
        storage_opt: (!spec.storage_opts.is_empty()).then(|| spec.storage_opts.clone().into_iter().collect()),
        ..HostConfig::default()
    };
    limits(&spec.limits, &mut host);
    mounts::apply(&spec.mounts, &mut host)?;
    Ok(host)
}

/// The driver that is followed without loss. The engine adds the options of its own configuration
/// to those that are not given, and a size limit of usual size would lose lines while they are
/// followed: so a limit is given that is never reached.
fn log_config(spec: &ContainerSpec) -> HostConfigLogConfig {
    let (driver, options) = match &spec.log_driver {
        Some(driver) => (driver.clone(), spec.log_opts.clone().into_iter().collect()),
        None => ("json-file".to_owned(), HashMap::from([("max-size".to_owned(), "1000000g".to_owned())])),
    };
    HostConfigLogConfig { typ: Some(driver), config: Some(options) }
}

fn networking(spec: &ContainerSpec) -> Option<NetworkingConfig> {
    let name = spec.networks.first()?;
    let ipam = EndpointIpamConfig {
        ipv4_address: spec.ip.clone(),
        ipv6_address: spec.ip6.clone(),
        link_local_ips: some_list(&spec.link_local_ips),
    };
    let settings = EndpointSettings {
        aliases: some_list(&spec.network_aliases),
        ipam_config: (ipam != EndpointIpamConfig::default()).then_some(ipam),
        mac_address: spec.mac_address.clone(),
        ..EndpointSettings::default()
    };
    let said = settings != EndpointSettings::default();
    said.then(|| NetworkingConfig { endpoints_config: Some(HashMap::from([(name.clone(), settings)])) })
}

fn ports(spec: &ContainerSpec) -> Option<HashMap<String, Option<Vec<PortBinding>>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        let binding = PortBinding { host_ip: port.host_ip.clone(), host_port: port.host_port.clone() };
        bindings.entry(port.container.clone()).or_default().get_or_insert_default().push(binding);
    }
    (!bindings.is_empty()).then_some(bindings)
}

/// `host[:container][:permissions]`.
fn device(text: &str) -> DeviceMapping {
    let permissions = |p: &str| !p.is_empty() && p.chars().all(|c| "rwm".contains(c));
    let parts: Vec<&str> = text.splitn(3, ':').collect();
    let (inside, rights) = match parts[..] {
        [_, p] if permissions(p) => (parts[0], p),
        [_, inside] => (inside, "rwm"),
        [_, inside, p] => (inside, p),
        _ => (parts[0], "rwm"),
    };
    DeviceMapping {
        path_on_host: Some(parts[0].to_owned()),
        path_in_container: Some(inside.to_owned()),
        cgroup_permissions: Some(rights.to_owned()),
    }
}

/// `all`, a number, or `key=value` pairs, as `docker run --gpus` takes them.
fn gpus(text: &str) -> Result<DeviceRequest> {
    let wrong = || EngineError::Other(format!("gpus {text:?} is not understood: give all, a number, or device=…"));
    let count = |value: &str| match value {
        "all" => Ok(-1),
        number => number.parse::<i64>().map_err(|_| wrong()),
    };
    let mut request = DeviceRequest { capabilities: Some(vec![vec!["gpu".to_owned()]]), ..DeviceRequest::default() };
    let text = text.trim_matches('"');
    let Some((key, value)) = text.split_once('=') else {
        return Ok(DeviceRequest { count: Some(count(text)?), ..request });
    };
    match key {
        "device" => request.device_ids = Some(value.split(',').map(str::to_owned).collect()),
        "count" => request.count = Some(count(value)?),
        _ => return Err(wrong()),
    }
    Ok(request)
}

fn limits(limits: &Limits, host: &mut HostConfig) {
    let path = |rate: &Rate| Some(rate.path.display().to_string());
    let rates = |rates: &[Rate]| {
        some_list(&rates.iter().map(|r| ThrottleDevice { path: path(r), rate: Some(r.rate) }).collect::<Vec<_>>())
    };
    let weight = |r: &Rate| ResourcesBlkioWeightDevice { path: path(r), weight: usize::try_from(r.rate).ok() };
    host.blkio_weight = limits.blkio_weight;
    host.blkio_weight_device = some_list(&limits.blkio_weight_device.iter().map(weight).collect::<Vec<_>>());
    host.blkio_device_read_bps = rates(&limits.device_read_bps);
    host.blkio_device_write_bps = rates(&limits.device_write_bps);
    host.blkio_device_read_iops = rates(&limits.device_read_iops);
    host.blkio_device_write_iops = rates(&limits.device_write_iops);
    host.cpu_period = limits.cpu_period;
    host.cpu_quota = limits.cpu_quota;
    host.cpu_realtime_period = limits.cpu_rt_period;
    host.cpu_realtime_runtime = limits.cpu_rt_runtime;
    host.cpuset_mems.clone_from(&limits.cpuset_mems);
    host.memory_reservation = limits.memory_reservation;
    host.memory_swappiness = limits.memory_swappiness;
    host.oom_kill_disable = limits.oom_kill_disable.then_some(true);
}

fn ulimits(spec: &ContainerSpec) -> Vec<ResourcesUlimits> {
    let limit = |u: &crate::job::Ulimit| ResourcesUlimits {
        name: Some(u.name.clone()),
        soft: Some(u.soft),
        hard: Some(u.hard),
    };
    spec.ulimits.iter().map(limit).collect()
}

fn cgroupns(text: &str) -> Result<HostConfigCgroupnsModeEnum> {
    match text {
        "private" => Ok(HostConfigCgroupnsModeEnum::PRIVATE),
        "host" => Ok(HostConfigCgroupnsModeEnum::HOST),
        other => Err(EngineError::Other(format!("cgroupns {other:?} is neither private nor host"))),
    }
}

fn some_list<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Port, Ulimit};
    use serde_json::{Value, json};

    fn sent(spec: &ContainerSpec) -> Value {
        serde_json::to_value(body(spec).unwrap()).unwrap()
    }

    #[test]
    fn nothing_said_leaves_the_image_as_it_is() {
        let sent = sent(&ContainerSpec { image: "a".into(), ..ContainerSpec::default() });
        for key in ["Cmd", "Entrypoint", "User", "WorkingDir", "Healthcheck", "ExposedPorts"] {
            assert_eq!(sent[key], Value::Null, "{key}");
        }
        assert_eq!(sent["HostConfig"]["LogConfig"]["Type"], "json-file");
        assert_eq!(sent["HostConfig"]["NetworkMode"], "default");
        assert_eq!(sent["HostConfig"]["AutoRemove"], Value::Null);
        assert_eq!(sent["Tty"], false);
    }

    #[test]
    fn what_is_said_is_sent() {
        let spec = ContainerSpec {
            image: "a".into(),
            command: vec!["b".into()],
            entrypoint: Some(vec![]),
            networks: vec!["n".into(), "m".into(), "o".into()],
            network_aliases: vec!["alias".into()],
            ip: Some("10.0.0.2".into()),
            ports: vec![Port {
                host_ip: Some("127.0.0.1".into()),
                host_port: Some("80".into()),
                container: "8/tcp".into(),
            }],
            expose: vec!["9/udp".into()],
            devices: vec!["/dev/a".into(), "/dev/a:r".into(), "/dev/a:/dev/b:rw".into()],
            ulimits: vec![Ulimit { name: "nofile".into(), soft: 1, hard: 2 }],
            gpus: Some("device=0,1".into()),
            no_healthcheck: true,
            pids: Some(7),
            log_driver: Some("local".into()),
            log_opts: [("max-size".to_owned(), "1m".to_owned())].into(),
            security_opt: vec!["systempaths=unconfined".into(), "no-new-privileges".into()],
            ..ContainerSpec::default()
        };
        let sent = sent(&spec);
        let host = &sent["HostConfig"];
        assert_eq!(sent["Entrypoint"], json!([""]));
        assert_eq!(sent["Labels"][NETWORKS_LABEL], "m alias\no alias");
        let further = further_networks("m alias\no");
        assert_eq!((further[0].0.as_str(), further[1].0.as_str()), ("m", "o"));
        assert_eq!((further[0].1.aliases.as_deref(), &further[1].1.aliases), (Some(&["alias".to_owned()][..]), &None));
        let endpoints = &sent["NetworkingConfig"]["EndpointsConfig"];
        assert_eq!(endpoints["n"]["Aliases"], json!(["alias"]));
        assert_eq!(endpoints["n"]["IPAMConfig"]["IPv4Address"], "10.0.0.2");
        assert_eq!(host["NetworkMode"], "n");
        assert_eq!(host["PortBindings"]["8/tcp"], json!([{"HostIp": "127.0.0.1", "HostPort": "80"}]));
        let exposed = sent["ExposedPorts"].as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
        assert_eq!(exposed.unwrap_or_default(), ["8/tcp", "9/udp"]);
        let rights: Vec<_> = host["Devices"].as_array().unwrap().iter().map(|d| &d["CgroupPermissions"]).collect();
        assert_eq!(rights, ["rwm", "r", "rw"]);
        assert_eq!(host["Devices"][2]["PathInContainer"], "/dev/b");
        assert_eq!(host["Ulimits"], json!([{"Name": "nofile", "Soft": 1, "Hard": 2}]));
        assert_eq!(host["DeviceRequests"][0]["DeviceIDs"], json!(["0", "1"]));
        assert_eq!(host["LogConfig"], json!({"Type": "local", "Config": {"max-size": "1m"}}));
        assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
        assert_eq!(host["MaskedPaths"], json!([]));
        assert_eq!(host["PidsLimit"], 7);
        assert_eq!(sent["Healthcheck"]["Test"], json!(["NONE"]));
    }

    #[test]
    fn rare_limits_are_sent() {
        let rate = |rate| vec![Rate { path: "/dev/sda".into(), rate }];
        let spec = ContainerSpec {
            networks: vec!["n".into()],
            ip6: Some("fd00::2".into()),
            volume_driver: Some("local".into()),
            limits: Limits {
                blkio_weight: Some(300),
                blkio_weight_device: rate(7),
                device_read_bps: rate(1 << 20),
                device_write_iops: rate(5),
                cpu_quota: Some(50_000),
                memory_reservation: Some(1 << 20),
                oom_kill_disable: true,
                ..Limits::default()
            },
            ..ContainerSpec::default()
        };
        let sent = sent(&spec);
        let host = &sent["HostConfig"];
        assert_eq!(host["BlkioWeightDevice"], json!([{"Path": "/dev/sda", "Weight": 7}]));
        assert_eq!(host["BlkioDeviceReadBps"], json!([{"Path": "/dev/sda", "Rate": 1 << 20}]));
        assert_eq!(host["BlkioDeviceWriteIOps"], json!([{"Path": "/dev/sda", "Rate": 5}]));
        let numbers = ["BlkioWeight", "CpuQuota", "MemoryReservation", "OomKillDisable", "VolumeDriver", "CpuPeriod"];
        let found = numbers.map(|key| host[key].clone());
        assert_eq!(json!(found), json!([300, 50_000, 1 << 20, true, "local", null]));
        let ipam = &sent["NetworkingConfig"]["EndpointsConfig"]["n"]["IPAMConfig"];
        assert_eq!(ipam["IPv6Address"], "fd00::2");
    }

    #[test]
    fn gpu_requests() {
        assert_eq!(gpus("all").unwrap().count, Some(-1));
        assert_eq!(gpus("2").unwrap().count, Some(2));
        assert_eq!(gpus("count=1").unwrap().count, Some(1));
        assert!(gpus("some").is_err() && gpus("x=1").is_err());
    }
}
