//! The values of `docker run` flags: mounts, ports, limits.

use std::path::Path;

use super::compose_files::split_mount;
use super::conf_dir::absolute;
use super::values;
use crate::job::{Mount, MountSource, Port, Rate, Ulimit};

/// `-v source:target:options`. `None` for one that is empty, as an unset variable leaves behind.
///
/// # Errors
/// Says what was expected.
pub fn volume(text: &str, base: &Path) -> Result<Option<Mount>, String> {
    const EXPECTED: &str = "expected source:/target or source:/target:ro";
    let parts = split_mount(text.trim());
    let (source, target, options) = match parts.as_slice() {
        [target] => ("", target.as_str(), ""),
        [source, target] => (source.as_str(), target.as_str(), ""),
        [source, target, options] => (source.as_str(), target.as_str(), options.as_str()),
        _ => return Err(EXPECTED.to_owned()),
    };
    if source.is_empty() && target.is_empty() {
        return Ok(None);
    }
    if !target.starts_with('/') || (source.is_empty() && parts.len() > 1) {
        return Err(EXPECTED.to_owned());
    }
    let mut read_only = false;
    let mut kept = Vec::new();
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option {
            "ro" | "readonly" => read_only = true,
            "rw" => {}
            "z" | "Z" | "nocopy" | "shared" | "slave" | "private" | "rshared" | "rslave" | "rprivate"
            | "consistent" | "cached" | "delegated" => kept.push(option.to_owned()),
            _ => return Err(format!("there is no mount option {option:?}")),
        }
    }
    let source = match source {
        "" => MountSource::Anonymous,
        path if path.starts_with(['/', '.', '~']) => MountSource::Bind(absolute(base, path)),
        name => MountSource::Volume(name.to_owned()),
    };
    let create = matches!(source, MountSource::Bind(_));
    Ok(Some(Mount { source, target: absolute(Path::new("/"), target), read_only, options: kept, create }))
}

/// `--mount type=bind,source=…,target=…`.
///
/// # Errors
/// Says what was expected.
pub fn mount(text: &str, base: &Path) -> Result<Mount, String> {
    let (mut kind, mut source, mut target, mut read_only) = ("volume", None, None, false);
    let (mut options, mut tmpfs) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        let (key, value) = part.split_once('=').map_or((part, None), |(k, v)| (k, Some(v)));
        match (key, value) {
            ("type", Some(value)) => kind = value,
            ("source" | "src", Some(value)) => source = Some(value),
            ("target" | "dst" | "destination", Some(value)) => target = Some(value),
            ("readonly" | "ro", value) => read_only = value.is_none_or(|v| values::truth(v) != Some(false)),
            ("bind-propagation", Some(value)) => options.push(value.to_owned()),
            ("volume-nocopy", value) if value.is_none_or(|v| values::truth(v) == Some(true)) => {
                options.push("nocopy".to_owned());
            }
            ("volume-nocopy" | "consistency" | "bind-recursive" | "bind-nonrecursive", _) => {}
            ("tmpfs-size", Some(value)) => tmpfs.push(format!("size={value}")),
            ("tmpfs-mode", Some(value)) => tmpfs.push(format!("mode={value}")),
            _ => return Err(format!("the mount option {key:?} is not understood")),
        }
    }
    let target = target.filter(|t| t.starts_with('/')).ok_or("expected target=/path")?;
    let source = match (kind, source) {
        ("bind", Some(path)) => MountSource::Bind(absolute(base, path)),
        ("bind", None) => return Err("expected source=/path".to_owned()),
        ("volume", Some(name)) => MountSource::Volume(name.to_owned()),
        ("volume", None) => MountSource::Anonymous,
        ("tmpfs", None) => MountSource::Tmpfs(tmpfs.join(",")),
        _ => return Err("expected type=bind, volume or tmpfs".to_owned()),
    };
    // Unlike `-v` this form never creates the source.
    Ok(Mount { source, target: absolute(Path::new("/"), target), read_only, options, create: false })
}

/// `--tmpfs /path:options`.
///
/// # Errors
/// Says what was expected.
pub fn tmpfs(text: &str) -> Result<Mount, String> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    if !target.starts_with('/') {
        return Err("expected /path or /path:options".to_owned());
    }
    Ok(Mount {
        source: MountSource::Tmpfs(options.to_owned()),
        target: target.into(),
        read_only: false,
        options: vec![],
        create: false,
    })
}

/// `-p [address:][port:]port[/protocol]`.
///
/// # Errors
/// Says what was expected.
pub fn port(text: &str) -> Result<Port, String> {
    const EXPECTED: &str = "expected a port such as 80, 8080:80, 127.0.0.1:8080:80 or 53:53/udp";
    let (text, protocol) = text.trim().rsplit_once('/').unwrap_or((text.trim(), "tcp"));
    // The numbers anew, because `0080` is not what the engine calls port 80.
    let range = |text: &str| -> Option<String> {
        let number = |n: &str| n.parse::<u16>().ok().filter(|n| *n > 0);
        match text.split_once('-') {
            Some((low, high)) => {
                let (low, high) = (number(low)?, number(high)?);
                (low <= high).then(|| format!("{low}-{high}"))
            }
            None => Some(number(text)?.to_string()),
        }
    };
    let (outside, inside) = match text.rsplit_once(':') {
        Some((outside, inside)) => (Some(outside), inside),
        None => (None, text),
    };
    let (host_ip, host_port) = match outside {
        None => (None, None),
        Some(outside) => match outside.rsplit_once(':') {
            Some((ip, port)) => (Some(ip.trim_matches(['[', ']'])), Some(port)),
            None => (None, Some(outside)),
        },
    };
    let host_port = match host_port.filter(|p| !p.is_empty()).map(range) {
        Some(None) => return Err(EXPECTED.to_owned()),
        Some(port) => port,
        None => None,
    };
    let inside = range(inside).filter(|_| ["tcp", "udp", "sctp"].contains(&protocol)).ok_or(EXPECTED)?;
    Ok(Port {
        host_ip: host_ip.filter(|ip| !ip.is_empty()).map(str::to_owned),
        host_port,
        container: format!("{inside}/{protocol}"),
    })
}

/// `--expose port[/protocol]`, with the protocol.
///
/// # Errors
/// Says what was expected.
pub fn expose(text: &str) -> Result<String, String> {
    match port(text) {
        Ok(Port { host_ip: None, host_port: None, container }) => Ok(container),
        _ => Err("expected a port such as 80 or 53/udp".to_owned()),
    }
}

/// `--ulimit name=soft[:hard]`.
///
/// # Errors
/// Says what was expected.
pub fn ulimit(text: &str) -> Result<Ulimit, String> {
    let parse = || {
        let (name, limits) = text.split_once('=')?;
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        Some(Ulimit { name: name.to_owned(), soft: soft.parse().ok()?, hard: hard.parse().ok()? })
    };
    parse().ok_or_else(|| "expected name=soft or name=soft:hard".to_owned())
}

/// `--device-read-bps path:rate` and its like; `sized` allows units.
///
/// # Errors
/// Says what was expected.
pub fn rate(text: &str, sized: bool) -> Result<Rate, String> {
    let parse = || {
        let (path, rate) = text.rsplit_once(':').filter(|(path, _)| path.starts_with("/dev/"))?;
        let rate = if sized { values::bytes(rate).ok()? } else { rate.parse().ok()? };
        Some(Rate { path: path.into(), rate: i64::try_from(rate).ok()? })
    };
    parse().ok_or_else(|| format!("expected /dev/path:{}", if sized { "rate such as 10mb" } else { "number" }))
}

/// `--device host[:container[:permissions]]`, in full.
pub fn device(text: &str) -> String {
    let permissions = |p: &str| !p.is_empty() && p.chars().all(|c| "rwm".contains(c));
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [host] => format!("{host}:{host}:rwm"),
        [host, p] if permissions(p) => format!("{host}:{host}:{p}"),
        [host, inside] => format!("{host}:{inside}:rwm"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mount: &Mount) -> String {
        let source = match &mount.source {
            MountSource::Bind(path) => path.display().to_string(),
            MountSource::Volume(name) => format!("@{name}"),
            MountSource::Anonymous => "?".to_owned(),
            MountSource::Tmpfs(options) => format!("tmpfs({options})"),
        };
        let create = if mount.create { "+" } else { "" };
        let ro = if mount.read_only { " ro" } else { "" };
        format!("{source}{create} {}{ro} {}", mount.target.display(), mount.options.join(",")).trim_end().to_owned()
    }

    #[test]
    fn volumes() {
        let base = Path::new("/s");
        for (text, expected) in [
            ("/a:/b", "/a+ /b"),
            ("/a:/b:ro,rslave", "/a+ /b ro rslave"),
            ("./a/../c:/b:rw", "/s/c+ /b"),
            ("data:/b:ro", "@data /b ro"),
            ("/b", "? /b"),
        ] {
            assert_eq!(shown(&volume(text, base).unwrap().unwrap()), expected, "{text}");
        }
        assert_eq!(volume("::rw", base), Ok(None));
        for text in ["a:b", "/a:/b:ro}", ":/b", "/a:", "a:/b:c:/d"] {
            assert!(volume(text, base).is_err(), "{text}");
        }
        for (text, expected) in [
            ("type=bind,source=/a,target=/b,readonly", "/a /b ro"),
            ("src=d,dst=/b,volume-nocopy", "@d /b nocopy"),
            ("type=tmpfs,target=/t,tmpfs-size=1m", "tmpfs(size=1m) /t"),
        ] {
            assert_eq!(shown(&mount(text, base).unwrap()), expected, "{text}");
        }
        assert!(mount("type=bind,target=/b", base).is_err());
        assert!(mount("type=npipe,source=a,target=/b", base).is_err());
    }

    #[test]
    fn ports() {
        for (text, ip, host, inside) in [
            ("80", None, None, "80/tcp"),
            ("8080:80", None, Some("8080"), "80/tcp"),
            ("0080:0081", None, Some("80"), "81/tcp"),
            ("127.0.0.1:8080:80/udp", Some("127.0.0.1"), Some("8080"), "80/udp"),
            ("127.0.0.1::80", Some("127.0.0.1"), None, "80/tcp"),
            ("[::1]:1-2:1-2", Some("::1"), Some("1-2"), "1-2/tcp"),
        ] {
            let port = port(text).unwrap();
            assert_eq!(
                (port.host_ip.as_deref(), port.host_port.as_deref(), port.container.as_str()),
                (ip, host, inside)
            );
        }
        assert!(port("x").is_err() && port("0:80").is_err() && port("80/x").is_err() && expose("1:2").is_err());
        assert_eq!(device("/dev/a:r"), "/dev/a:/dev/a:r");
        assert!(ulimit("nofile=1:2").is_ok() && ulimit("nofile").is_err());
    }
}
