//! Mounts of a one-off container: volumes, memory, configs and secrets.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::keys::Keys;
use super::networks::name;
use super::strings;
use super::values::bytes;
use crate::compose::model::{list, text};
use crate::job::{ContainerSpec, Mount, MountSource};

/// Reads them from a service of a document; gives the names of the named volumes. What cannot be
/// mounted is an error: without its data a container is another one.
pub(super) fn read(
    keys: &mut Keys<'_>,
    document: &Value,
    project: &str,
    spec: &mut ContainerSpec,
) -> Result<Vec<String>> {
    let named = |key: &str| name(&document["volumes"], key, project);
    for volume in list(keys.take("volumes")) {
        let mount = match volume.as_str() {
            Some(line) => short(line, &named),
            None => long(volume, &named),
        };
        spec.mounts.push(mount.with_context(|| format!("the mount {volume}"))?);
    }
    for line in strings(keys.take("tmpfs")) {
        let (target, options) = line.split_once(':').unwrap_or((&line, ""));
        spec.mounts.push(mount(MountSource::Tmpfs(options.to_owned()), target));
    }
    for (kind, folder) in [("configs", Path::new("/")), ("secrets", Path::new("/run/secrets"))] {
        let list = list(keys.take(if kind == "configs" { "configs" } else { "secrets" }));
        for entry in list {
            let source = text(entry).or_else(|| text(&entry["source"])).unwrap_or_default();
            let Some(file) = text(&document[kind][&source]["file"]) else {
                bail!("{kind}: {source} is no file of the host, and can be handed over by compose only");
            };
            let target = folder.join(text(&entry["target"]).unwrap_or(source));
            spec.mounts.push(Mount::bind(file, target, true));
        }
    }
    spec.volumes_from = strings(keys.take("volumes_from")).iter().map(|line| taken_from(line)).collect();
    spec.volume_driver = keys.text("volume_driver");
    let volumes = spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume(name) => Some(name.clone()),
        _ => None,
    });
    let mut volumes: Vec<String> = volumes.collect();
    volumes.sort();
    volumes.dedup();
    Ok(volumes)
}

fn mount(source: MountSource, target: impl Into<PathBuf>) -> Mount {
    Mount { source, target: target.into(), read_only: false, options: vec![], create: false }
}

/// `[source:]target[:options]`.
fn short(line: &str, named: &dyn Fn(&str) -> String) -> Result<Mount> {
    let parts: Vec<&str> = line.splitn(3, ':').collect();
    let mut mount = match parts[..] {
        [target] => mount(MountSource::Anonymous, target),
        [source, target, ..] if source.starts_with('/') => {
            Mount { create: true, ..mount(MountSource::Bind(source.into()), target) }
        }
        [source, target, ..] => mount(MountSource::Volume(named(source)), target),
        [] => bail!("is empty"),
    };
    for option in parts.get(2).into_iter().flat_map(|options| options.split(',')) {
        match option {
            "ro" => mount.read_only = true,
            "" | "rw" | "cached" | "delegated" | "consistent" => {}
            option => mount.options.push(option.to_owned()),
        }
    }
    Ok(mount)
}

fn long(value: &Value, named: &dyn Fn(&str) -> String) -> Result<Mount> {
    let target = text(&value["target"]).context("names no target")?;
    let source = text(&value["source"]).filter(|source| !source.is_empty());
    let mut mount = match (value["type"].as_str().unwrap_or("volume"), source) {
        ("bind", Some(source)) => {
            let bind = &value["bind"];
            let create = bind["create_host_path"].as_bool().unwrap_or(false);
            let options = ["propagation", "selinux"].iter().filter_map(|key| text(&bind[key]));
            Mount { create, options: options.collect(), ..mount(MountSource::Bind(source.into()), target) }
        }
        ("volume", source) => {
            let volume = &value["volume"];
            if text(&volume["subpath"]).is_some_and(|path| !path.is_empty()) {
                bail!("a part of a volume cannot be mounted by a job");
            }
            let source = source.map_or(MountSource::Anonymous, |source| MountSource::Volume(named(&source)));
            let options = if volume["nocopy"].as_bool() == Some(true) { vec!["nocopy".to_owned()] } else { vec![] };
            Mount { options, ..mount(source, target) }
        }
        ("tmpfs", _) => {
            let tmpfs = &value["tmpfs"];
            let size = bytes("size", &tmpfs["size"])?.filter(|size| *size > 0).map(|size| format!("size={size}"));
            let mode = tmpfs["mode"].as_u64().map(|mode| format!("mode={mode:o}"));
            mount(MountSource::Tmpfs(size.into_iter().chain(mode).collect::<Vec<_>>().join(",")), target)
        }
        (kind, _) => bail!("a mount of the type {kind} cannot be made by a job"),
    };
    mount.read_only = value["read_only"].as_bool().unwrap_or(false);
    // A label of the security system goes with what may be created only.
    mount.create |= mount.options.iter().any(|option| option == "z" || option == "Z");
    Ok(mount)
}

/// `container:NAME[:mode]` as the engine has it, a service's name after the prefix.
fn taken_from(line: &str) -> String {
    match line.strip_prefix("container:") {
        Some(container) => container.to_owned(),
        None => format!("{}{line}", super::SERVICE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(service: &str, rest: &str) -> Result<(Vec<Mount>, Vec<String>, Vec<String>)> {
        let document: Value = serde_saphyr::from_str(&format!("{{s: {{{service}}}, {rest}}}")).unwrap();
        let mut spec = ContainerSpec::default();
        let volumes = read(&mut Keys::of(document["s"].as_object().unwrap()), &document, "p", &mut spec)?;
        Ok((spec.mounts, volumes, spec.volumes_from))
    }

    #[test]
    fn mounts_in_both_forms() {
        let forms = [
            "volumes: ['/srv/a:/a:ro,rslave', 'data:/d', /anon, 'other:/o:nocopy', 'old:/old']",
            "volumes: [{type: bind, source: /srv/a, target: /a, read_only: true, bind: {create_host_path: true, propagation: rslave}},
                {type: volume, source: data, target: /d, volume: {}}, {type: volume, target: /anon},
                {type: volume, source: other, target: /o, volume: {nocopy: true}}, {type: volume, source: old, target: /old}]",
        ];
        for form in forms {
            let all = "volumes: {data: {name: shared}, other: {external: true}, old: {}}";
            let (mounts, volumes, _) = made(form, all).unwrap();
            assert_eq!(volumes, ["other", "p_old", "shared"], "{form}");
            assert_eq!(
                (mounts[0].create, mounts[0].read_only, mounts[0].options.join(",").as_str()),
                (true, true, "rslave")
            );
            assert_eq!(mounts[2].source, MountSource::Anonymous);
            assert_eq!(mounts[3].options, ["nocopy"]);
        }
    }

    #[test]
    fn memory_files_and_other_containers() {
        let service =
            "tmpfs: ['/t:size=1m', /u], volumes: [{type: tmpfs, target: /v, tmpfs: {size: '64m', mode: 1023}}],
            configs: [{source: c, target: /etc/c}, d], secrets: [s, {source: s, target: other}],
            volumes_from: ['db:ro', 'container:x']";
        let files = "configs: {c: {file: /srv/c}, d: {file: /srv/d}}, secrets: {s: {file: /srv/s}}";
        let (mounts, _, from) = made(service, files).unwrap();
        let shown: Vec<String> = mounts
            .iter()
            .map(|m| match &m.source {
                MountSource::Tmpfs(options) => format!("{} {options}", m.target.display()),
                MountSource::Bind(path) => format!("{} {} {}", m.target.display(), path.display(), m.read_only),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "/v size=67108864,mode=1777",
                "/t size=1m",
                "/u ",
                "/etc/c /srv/c true",
                "/d /srv/d true",
                "/run/secrets/s /srv/s true",
                "/run/secrets/other /srv/s true"
            ]
        );
        assert_eq!(from, ["service:db:ro", "x"]);
    }

    #[test]
    fn what_cannot_be_mounted_is_an_error() {
        for (service, word) in [
            ("volumes: [{type: npipe, source: a, target: /a}]", "npipe"),
            ("volumes: [{type: volume, source: a, target: /a, volume: {subpath: x}}]", "part of a volume"),
            ("secrets: [s]", "secrets: s"),
            ("configs: [{source: c}]", "configs: c"),
        ] {
            let error = format!("{:#}", made(service, "configs: {c: {content: x}}").unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}
