//! Networks, names and namespaces of a one-off container. It takes no alias and no address: those
//! are the service's own.

use anyhow::Result;
use serde_json::Value;

use super::keys::Keys;
use super::strings;
use crate::compose::model::{entries, list, text};
use crate::job::ContainerSpec;

/// Reads them from a service of a document.
pub(super) fn read(keys: &mut Keys<'_>, document: &Value, project: &str, spec: &mut ContainerSpec) -> Result<()> {
    let networks = keys.take("networks");
    spec.networks = match keys.text("network_mode") {
        Some(mode) => vec![mode],
        None => {
            let mut named: Vec<(i64, String)> = list(networks).iter().filter_map(text).map(|name| (0, name)).collect();
            named.extend(entries(networks).map(|(name, settings)| {
                // Higher priorities come first.
                (-settings["priority"].as_i64().unwrap_or_default(), name.clone())
            }));
            named.sort();
            if named.is_empty() {
                named.push((0, "default".to_owned()));
            }
            named.iter().map(|(_, key)| name(&document["networks"], key, project)).collect()
        }
    };
    spec.pid = keys.text("pid");
    spec.ipc = keys.text("ipc");
    spec.uts = keys.text("uts");
    spec.userns = keys.text("userns_mode");
    spec.cgroupns = keys.text("cgroup");
    spec.cgroup_parent = keys.text("cgroup_parent");
    spec.dns = strings(keys.take("dns"));
    spec.dns_search = strings(keys.take("dns_search"));
    spec.dns_option = strings(keys.take("dns_opt"));
    spec.extra_hosts = hosts(keys.take("extra_hosts"));
    for (key, kind) in [("links", "link"), ("external_links", "external link")] {
        for link in strings(keys.take(key)) {
            // Without an alias the name resolves anyway.
            if let Some((other, alias)) = link.split_once(':').filter(|(other, alias)| other != alias) {
                keys.without(format!("the {kind} {alias} to {other}"));
            }
        }
    }
    Ok(())
}

/// The name of a network or volume on the engine.
pub(super) fn name(all: &Value, key: &str, project: &str) -> String {
    let settings = &all[key];
    let external = &settings["external"];
    let said = text(&settings["name"]).or_else(|| text(&external["name"]));
    said.unwrap_or_else(|| if external.as_bool() == Some(true) { key.to_owned() } else { format!("{project}_{key}") })
}

/// `host:address` lines from `host=address`, `host:address` or a mapping.
fn hosts(value: &Value) -> Vec<String> {
    let line = |line: String| match line.split_once('=') {
        Some((host, address)) => format!("{host}:{address}"),
        None => line,
    };
    let mapped = entries(value)
        .flat_map(|(host, addresses)| strings(addresses).into_iter().map(move |address| format!("{host}:{address}")));
    list(value).iter().filter_map(text).map(line).chain(mapped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(service: &str, networks: &str) -> ContainerSpec {
        let document: Value =
            serde_saphyr::from_str(&format!("{{s: {{{service}}}, networks: {{{networks}}}}}")).unwrap();
        let mut spec = ContainerSpec::default();
        read(&mut Keys::of(document["s"].as_object().unwrap()), &document, "p", &mut spec).unwrap();
        spec
    }

    #[test]
    fn networks_have_their_real_names() {
        for (service, networks, expected) in [
            ("", "", vec!["p_default"]),
            ("", "default: {name: shared}", vec!["shared"]),
            ("networks: [b, a]", "", vec!["p_a", "p_b"]),
            ("networks: {a: null, b: {priority: 10}}", "a: {external: true}, b: {name: c}", vec!["c", "a"]),
            ("networks: {a: null}", "a: {external: {name: old}}", vec!["old"]),
            ("network_mode: 'service:db'", "", vec!["service:db"]),
            ("network_mode: none", "", vec!["none"]),
        ] {
            let spec = made(service, networks);
            assert_eq!(spec.networks, expected, "{service}");
            assert!(spec.network_aliases.is_empty() && spec.ip.is_none());
        }
    }

    #[test]
    fn hosts_in_all_forms() {
        for hosts in ["['a=::1', 'b:10.0.0.1']", "{a: '::1', b: 10.0.0.1}", "{a: ['::1'], b: [10.0.0.1]}"] {
            assert_eq!(made(&format!("extra_hosts: {hosts}"), "").extra_hosts, ["a:::1", "b:10.0.0.1"], "{hosts}");
        }
        assert_eq!(made("dns: 1.1.1.1, pid: host", "").dns, ["1.1.1.1"]);
    }
}
