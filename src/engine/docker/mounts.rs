//! Mounts of a spec in the terms of the API.

use bollard::models::{
    HostConfig, Mount as ApiMount, MountBindOptions, MountBindOptionsPropagationEnum as Propagation, MountType,
    MountVolumeOptions,
};

use crate::engine::{EngineError, Result};
use crate::job::{Mount, MountSource};

/// Adds the mounts. A host path that must exist goes into `Mounts`, where the engine refuses a
/// missing one; one that may be created goes into `Binds`, where the engine creates it.
pub(super) fn apply(mounts: &[Mount], host: &mut HostConfig) -> Result<()> {
    for mount in mounts {
        let target = mount.target.to_string_lossy().into_owned();
        let base = ApiMount {
            target: Some(target.clone()),
            read_only: Some(mount.read_only || mount.options.iter().any(|o| o == "ro")),
            ..ApiMount::default()
        };
        match &mount.source {
            MountSource::Bind(source) if mount.create => {
                let source = source.to_string_lossy();
                host.binds.get_or_insert_default().push(format!("{source}:{target}{}", suffix(mount)));
            }
            MountSource::Bind(source) => host.mounts.get_or_insert_default().push(ApiMount {
                typ: Some(MountType::BIND),
                source: Some(source.to_string_lossy().into_owned()),
                bind_options: propagation(mount)?
                    .map(|p| MountBindOptions { propagation: Some(p), ..MountBindOptions::default() }),
                ..base
            }),
            MountSource::Volume(name) => host.mounts.get_or_insert_default().push(ApiMount {
                typ: Some(MountType::VOLUME),
                source: Some(name.clone()),
                volume_options: no_copy(mount),
                ..base
            }),
            MountSource::Anonymous => host.mounts.get_or_insert_default().push(ApiMount {
                typ: Some(MountType::VOLUME),
                volume_options: no_copy(mount),
                ..base
            }),
            MountSource::Tmpfs(options) => {
                let options = match (options.as_str(), mount.read_only) {
                    (options, false) => options.to_owned(),
                    ("", true) => "ro".to_owned(),
                    (options, true) => format!("{options},ro"),
                };
                host.tmpfs.get_or_insert_default().insert(target, options);
            }
        }
    }
    Ok(())
}

fn suffix(mount: &Mount) -> String {
    let mut options: Vec<&str> = mount.options.iter().map(String::as_str).collect();
    if mount.read_only && !options.contains(&"ro") {
        options.insert(0, "ro");
    }
    if options.is_empty() { String::new() } else { format!(":{}", options.join(",")) }
}

fn no_copy(mount: &Mount) -> Option<MountVolumeOptions> {
    let wanted = mount.options.iter().any(|o| o == "nocopy");
    wanted.then(|| MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() })
}

fn propagation(mount: &Mount) -> Result<Option<Propagation>> {
    let mut found = None;
    for option in &mount.options {
        found = Some(match option.as_str() {
            "private" => Propagation::PRIVATE,
            "rprivate" => Propagation::RPRIVATE,
            "shared" => Propagation::SHARED,
            "rshared" => Propagation::RSHARED,
            "slave" => Propagation::SLAVE,
            "rslave" => Propagation::RSLAVE,
            "ro" | "rw" | "cached" | "delegated" | "consistent" => continue,
            other => {
                return Err(EngineError::Other(format!(
                    "mount of {}: option {other:?} is for paths that may be created (`docker run -v`)",
                    mount.target.display()
                )));
            }
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(mounts: &[Mount]) -> HostConfig {
        let mut host = HostConfig::default();
        apply(mounts, &mut host).unwrap();
        host
    }

    #[test]
    fn a_path_that_must_exist_is_a_mount_and_one_that_may_be_made_a_bind() {
        let strict = Mount { options: vec!["rslave".into()], ..Mount::bind("/a", "/b", true) };
        let lax = Mount { create: true, options: vec!["z".into()], ..Mount::bind("/c", "/d", true) };
        let plain = Mount { create: true, ..Mount::bind("/e", "/f", false) };
        let host = applied(&[strict, lax, plain]);
        let mounts = host.mounts.unwrap();
        assert_eq!((mounts[0].source.as_deref(), mounts[0].read_only), (Some("/a"), Some(true)));
        assert_eq!(mounts[0].bind_options.as_ref().unwrap().propagation, Some(Propagation::RSLAVE));
        assert_eq!(host.binds.unwrap(), ["/c:/d:ro,z", "/e:/f"]);
    }

    #[test]
    fn volumes_and_memory() {
        let of = |source| Mount { source, ..Mount::bind("/", "/t", false) };
        let host = applied(&[
            Mount { options: vec!["nocopy".into()], ..of(MountSource::Volume("v".into())) },
            of(MountSource::Anonymous),
            of(MountSource::Tmpfs("size=1m".into())),
        ]);
        let mounts = host.mounts.unwrap();
        assert_eq!(mounts[0].source.as_deref(), Some("v"));
        assert_eq!(mounts[0].volume_options.as_ref().unwrap().no_copy, Some(true));
        assert_eq!((mounts[1].source.as_deref(), mounts[1].typ), (None, Some(MountType::VOLUME)));
        assert_eq!(host.tmpfs.unwrap()["/t"], "size=1m");
    }

    #[test]
    fn an_option_that_cannot_be_kept_is_refused() {
        let mount = Mount { options: vec!["Z".into()], ..Mount::bind("/a", "/b", false) };
        assert!(apply(&[mount], &mut HostConfig::default()).is_err());
    }
}
