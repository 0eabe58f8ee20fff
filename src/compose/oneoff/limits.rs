//! Privileges, devices and limits of a one-off container.

use anyhow::{Result, bail};
use serde_json::Value;

use super::keys::Keys;
use super::strings;
use super::values::{bytes, nano_cpus, number};
use crate::compose::model::{entries, list, pairs, text};
use crate::job::{ContainerSpec, Limits, Rate, Ulimit};

/// Reads them from a service.
pub(super) fn read(keys: &mut Keys<'_>, spec: &mut ContainerSpec) -> Result<()> {
    spec.privileged = keys.truth("privileged").unwrap_or(false);
    spec.read_only = keys.truth("read_only").unwrap_or(false);
    spec.init = keys.truth("init");
    spec.cap_add = strings(keys.take("cap_add"));
    spec.cap_drop = strings(keys.take("cap_drop"));
    spec.security_opt = strings(keys.take("security_opt"));
    spec.group_add = strings(keys.take("group_add"));
    spec.devices = list(keys.take("devices")).iter().filter_map(device).collect();
    spec.device_cgroup_rules = strings(keys.take("device_cgroup_rules"));
    spec.runtime = keys.text("runtime");
    let valued = |value: &Value| pairs(value).into_iter().map(|(name, value)| (name, value.unwrap_or_default()));
    spec.sysctls = valued(keys.take("sysctls")).collect();
    spec.storage_opts = valued(keys.take("storage_opt")).collect();
    for (name, value) in entries(keys.take("ulimits")) {
        let of = |key: &str| number(name, if value.is_object() { &value[key] } else { value });
        if let (Some(soft), Some(hard)) = (of("soft")?, of("hard")?) {
            spec.ulimits.push(Ulimit { name: name.clone(), soft, hard });
        }
    }
    spec.shm_size = bytes("shm_size", keys.take("shm_size"))?;
    spec.cpuset_cpus = keys.text("cpuset");
    spec.cpu_shares = number("cpu_shares", keys.take("cpu_shares"))?.filter(|n| *n != 0);
    spec.oom_score_adj = number("oom_score_adj", keys.take("oom_score_adj"))?.filter(|n| *n != 0);
    spec.memory_swap = bytes("memswap_limit", keys.take("memswap_limit"))?.filter(|n| *n != 0);
    let deploy = &keys.take("deploy")["resources"];
    let (most, least) = (&deploy["limits"], &deploy["reservations"]);
    let first = |own: Option<i64>, deploy: Option<i64>| own.or(deploy).filter(|n| *n != 0);
    spec.memory = first(bytes("mem_limit", keys.take("mem_limit"))?, bytes("memory", &most["memory"])?);
    spec.nano_cpus = first(nano_cpus("cpus", keys.take("cpus"))?, nano_cpus("cpus", &most["cpus"])?);
    spec.pids = first(number("pids_limit", keys.take("pids_limit"))?, number("pids", &most["pids"])?);
    spec.limits = Limits {
        cpu_period: number("cpu_period", keys.take("cpu_period"))?.filter(|n| *n != 0),
        cpu_quota: number("cpu_quota", keys.take("cpu_quota"))?.filter(|n| *n != 0),
        cpu_rt_period: number("cpu_rt_period", keys.take("cpu_rt_period"))?.filter(|n| *n != 0),
        cpu_rt_runtime: number("cpu_rt_runtime", keys.take("cpu_rt_runtime"))?.filter(|n| *n != 0),
        memory_reservation: first(
            bytes("mem_reservation", keys.take("mem_reservation"))?,
            bytes("memory", &least["memory"])?,
        ),
        memory_swappiness: number("mem_swappiness", keys.take("mem_swappiness"))?,
        oom_kill_disable: keys.truth("oom_kill_disable").unwrap_or(false),
        ..blocks(keys.take("blkio_config"))?
    };
    let gpus = keys.take("gpus");
    let wanted: Vec<&Value> = list(gpus).iter().chain(list(&least["devices"])).collect();
    spec.gpus = text(gpus);
    match wanted.as_slice() {
        [] => {}
        [one] => match gpu(one) {
            Some(request) => spec.gpus = Some(request),
            None => keys.without("a device that it asks for, which is no GPU by count or name"),
        },
        _ => keys.without("the devices that it asks for: there are several requests"),
    }
    Ok(())
}

/// `host:container:permissions`, from that or from a mapping.
fn device(value: &Value) -> Option<String> {
    let Some(source) = text(&value["source"]) else { return text(value) };
    let target = text(&value["target"]).unwrap_or_else(|| source.clone());
    Some(format!("{source}:{target}:{}", text(&value["permissions"]).unwrap_or_else(|| "rwm".to_owned())))
}

/// A request for GPUs as `docker run --gpus` takes it.
fn gpu(value: &Value) -> Option<String> {
    let driver = text(&value["driver"]).unwrap_or_default();
    let capabilities = strings(&value["capabilities"]);
    let usual = matches!(driver.as_str(), "" | "nvidia") && capabilities.iter().all(|c| c == "gpu");
    let ids = strings(&value["device_ids"]);
    usual.then(|| match text(&value["count"]) {
        _ if !ids.is_empty() => format!("device={}", ids.join(",")),
        None => "all".to_owned(),
        Some(count) if count == "-1" => "all".to_owned(),
        Some(count) => count,
    })
}

fn blocks(value: &Value) -> Result<Limits> {
    let rates = |key: &str, amount: &str| -> Result<Vec<Rate>> {
        let rate = |entry: &Value| {
            let Some(path) = text(&entry["path"]) else { bail!("blkio_config: {key}: names no device") };
            Ok(Rate { path: path.into(), rate: bytes(key, &entry[amount])?.unwrap_or_default() })
        };
        list(&value[key]).iter().map(rate).collect()
    };
    Ok(Limits {
        blkio_weight: number("weight", &value["weight"])?.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0),
        blkio_weight_device: rates("weight_device", "weight")?,
        device_read_bps: rates("device_read_bps", "rate")?,
        device_write_bps: rates("device_write_bps", "rate")?,
        device_read_iops: rates("device_read_iops", "rate")?,
        device_write_iops: rates("device_write_iops", "rate")?,
        ..Limits::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(service: &str) -> (ContainerSpec, Vec<String>) {
        let document: Value = serde_saphyr::from_str(&format!("{{{service}}}")).unwrap();
        let (mut keys, mut spec) = (Keys::of(document.as_object().unwrap()), ContainerSpec::default());
        read(&mut keys, &mut spec).unwrap();
        (spec, keys.remarks())
    }

    #[test]
    fn every_limit_is_carried_over() {
        let (spec, remarks) = made(
            "privileged: true, read_only: true, init: true, cap_add: [NET_ADMIN], cap_drop: [ALL], group_add: [44, video],
             security_opt: ['no-new-privileges:true'], devices: ['/dev/a:/dev/b:r', {source: /dev/c, permissions: rw}],
             device_cgroup_rules: ['c 1:3 mr'], runtime: runc, sysctls: {net.core.somaxconn: 1024}, storage_opt: {size: 1G},
             ulimits: {nproc: 65535, nofile: {soft: 20000, hard: 40000}}, shm_size: '67108864', cpuset: '0,1',
             cpu_shares: 73, oom_score_adj: -500, mem_limit: '512m', memswap_limit: 1g, mem_reservation: 64m,
             mem_swappiness: 0, cpus: 0.5, pids_limit: 99, cpu_quota: 5000, oom_kill_disable: true,
             blkio_config: {weight: 300, weight_device: [{path: /dev/sda, weight: 400}], device_read_bps: [{path: /dev/sdb, rate: 12mb}]}",
        );
        assert_eq!(remarks, [""; 0]);
        assert!(spec.privileged && spec.read_only && spec.init == Some(true) && spec.limits.oom_kill_disable);
        assert_eq!(spec.devices, ["/dev/a:/dev/b:r", "/dev/c:/dev/c:rw"]);
        assert_eq!(
            (spec.group_add.join(" ").as_str(), spec.sysctls["net.core.somaxconn"].as_str()),
            ("44 video", "1024")
        );
        let limits: Vec<_> = spec.ulimits.iter().map(|u| (u.name.as_str(), u.soft, u.hard)).collect();
        assert_eq!(limits, [("nofile", 20000, 40000), ("nproc", 65535, 65535)]);
        assert_eq!((spec.memory, spec.memory_swap, spec.shm_size), (Some(512 << 20), Some(1 << 30), Some(64 << 20)));
        assert_eq!((spec.nano_cpus, spec.pids, spec.cpu_shares), (Some(500_000_000), Some(99), Some(73)));
        assert_eq!((spec.limits.memory_reservation, spec.limits.memory_swappiness), (Some(64 << 20), Some(0)));
        assert_eq!(spec.limits.blkio_weight_device[0].rate, 400);
        assert_eq!(spec.limits.device_read_bps[0].rate, 12 << 20);
    }

    #[test]
    fn limits_of_deploy_count_as_well() {
        let (spec, _) =
            made("deploy: {resources: {limits: {cpus: '1.5', memory: 100M, pids: 7}, reservations: {memory: 20M}}}");
        assert_eq!((spec.nano_cpus, spec.memory, spec.pids), (Some(1_500_000_000), Some(100 << 20), Some(7)));
        assert_eq!(spec.limits.memory_reservation, Some(20 << 20));
    }

    #[test]
    fn gpus_in_all_forms() {
        let devices = |list: &str| made(&format!("deploy: {{resources: {{reservations: {{devices: [{list}]}}}}}}"));
        assert_eq!(made("gpus: all").0.gpus.as_deref(), Some("all"));
        assert_eq!(made("gpus: [{count: 2}]").0.gpus.as_deref(), Some("2"));
        assert_eq!(devices("{driver: nvidia, count: -1, capabilities: [gpu]}").0.gpus.as_deref(), Some("all"));
        assert_eq!(devices("{device_ids: ['0', '3'], capabilities: [gpu]}").0.gpus.as_deref(), Some("device=0,3"));
        for other in ["{driver: cdi, device_ids: [x]}", "{count: 1}, {count: 1}"] {
            assert_eq!(devices(other).1.len(), 1, "{other}");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        for service in
            ["mem_limit: much", "cpus: some", "ulimits: {nofile: x}", "blkio_config: {weight_device: [{weight: 1}]}"]
        {
            let document: Value = serde_saphyr::from_str(&format!("{{{service}}}")).unwrap();
            assert!(
                read(&mut Keys::of(document.as_object().unwrap()), &mut ContainerSpec::default()).is_err(),
                "{service}"
            );
        }
    }
}
