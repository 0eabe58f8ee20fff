//! The configuration probe: a throwaway container in which a stack's shell files can do no more
//! than produce variables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::container::hardened;
use crate::config::{Collected, Installation, Probe, ProbeRequest};
use crate::engine::{Channel, EngineError, Host};
use crate::job::{ContainerSpec, Mount};
use crate::run::labels;
use crate::secret::Environment;

/// How often the look is repeated with what the one before has named.
const ROUNDS: usize = 5;

/// The evaluation has a limit of its own; this one is for a container that hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// More than this a configuration cannot be.
const MOST: usize = 256 << 20;

/// Collects in a throwaway container: no socket, no network, checkouts read-only, memory and
/// processes limited, nothing of its output in the engine's log files.
#[derive(Debug)]
pub struct ContainerProbe<'a, H> {
    host: &'a H,
    installation: &'a Installation,
    stack: String,
    overlays: Vec<Mount>,
    paths: Vec<PathBuf>,
}

impl<'a, H: Host> ContainerProbe<'a, H> {
    /// A probe on this engine. `stack` only names the container.
    pub fn new(host: &'a H, installation: &'a Installation, stack: &str) -> Self {
        Self { host, installation, stack: stack.to_owned(), overlays: vec![], paths: vec![] }
    }

    /// With these mounts over the real ones: a staged vector at its checkouts' own paths.
    #[must_use]
    pub fn with_overlays(mut self, overlays: Vec<Mount>) -> Self {
        self.overlays = overlays;
        self
    }

    /// With these paths from the first round on.
    #[must_use]
    pub fn with_paths(mut self, paths: Vec<PathBuf>) -> Self {
        self.paths = paths;
        self
    }

    async fn round(&self, request: &ProbeRequest, paths: &mut Vec<PathBuf>, number: usize) -> Result<Collected> {
        loop {
            let spec = self.spec(request, paths)?;
            let name = format!("tender-{}-probe-{}-{number}", self.stack, crate::run::RunId::random());
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let ended = self
                .host
                .attach_once(&name, &spec, LIMIT, &mut |channel, bytes| {
                    let (side, most) = if channel == Channel::Out { (&mut out, MOST) } else { (&mut err, 1 << 16) };
                    if side.len() < most {
                        side.extend_from_slice(bytes);
                    }
                })
                .await;
            match ended {
                Ok(0) => {
                    return serde_json::from_slice(&out).with_context(|| {
                        let head = String::from_utf8_lossy(&out[..out.len().min(200)]).into_owned();
                        let head = if head.starts_with("{\"error\"") { head } else { String::new() };
                        format!("the configuration probe answered something unexpected {head}")
                    });
                }
                Ok(code) => {
                    bail!("the configuration probe ended with {code}: {}", String::from_utf8_lossy(&err).trim())
                }
                // The engine names the path that is not there: the look goes on without it.
                Err(EngineError::Other(why) | EngineError::NotFound(why) | EngineError::Conflict(why)) => {
                    let missing = paths.iter().position(|p| names(&why, p));
                    let Some(missing) = missing else { bail!("the configuration probe could not be started: {why}") };
                    paths.remove(missing);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Shell files decide what the next round sees. A read-only mount is no protection of a socket.
    fn forbids(&self, path: &Path) -> bool {
        let sockets = [Path::new("/run/docker.sock"), Path::new("/var/run/docker.sock"), &self.installation.socket];
        // The sockets of other daemons lie there, which are as good as root.
        let runtime = ["/run", "/var/run"].iter().any(|dir| path.starts_with(dir))
            && !["/run/secrets", "/var/run/secrets"].iter().any(|dir| path.starts_with(dir));
        runtime
            || sockets.iter().any(|socket| socket.starts_with(path))
            || ["/proc", "/sys", "/dev"].iter().any(|root| path.starts_with(root))
    }

    fn spec(&self, request: &ProbeRequest, paths: &[PathBuf]) -> Result<ContainerSpec> {
        let base = hardened(self.installation, &["probe"]);
        let mut mounts: Vec<Mount> = outermost(paths.iter().map(PathBuf::as_path))
            .into_iter()
            .filter(|path| !self.overlays.iter().any(|o| o.target == **path))
            .map(|path| Mount::same_path(path, true))
            .collect();
        mounts.extend(self.overlays.iter().cloned().map(|mut mount| {
            mount.read_only = true;
            mount
        }));
        mounts.sort_by_key(|m| m.target.components().count());
        mounts.extend(base.mounts.iter().cloned());
        Ok(ContainerSpec {
            env: Environment([("TENDER_PROBE".to_owned(), serde_json::to_string(request)?)].into()),
            mounts,
            memory: Some(512 << 20),
            pids: Some(256),
            // Reads what belongs to others; the mounts are read-only.
            cap_add: vec!["DAC_OVERRIDE".into()],
            labels: [
                (labels::INSTANCE.to_owned(), self.installation.instance.clone()),
                (labels::COMPOSE_DIR.to_owned(), request.compose_dir.display().to_string()),
                (labels::ROLE.to_owned(), "probe".to_owned()),
            ]
            .into(),
            ..base
        })
    }
}

impl<H: Host> Probe for ContainerProbe<'_, H> {
    async fn collect(&self, request: &ProbeRequest) -> Result<Collected> {
        // In the container they have neither engine nor network.
        let request = &ProbeRequest { includes: true, ..request.clone() };
        let mut paths = self.paths.clone();
        paths.push(request.compose_dir.clone());
        if let Some(parent) = request.env_local.parent() {
            paths.push(parent.to_owned());
        }
        // Where the checkout around the compose dir begins cannot be seen from inside: the engine
        // refuses those of these that do not exist, and the one that does tells.
        paths.extend(checkouts_around(&request.compose_dir));
        let mut asked: Vec<PathBuf> = paths.clone();
        for number in 1..=ROUNDS {
            let collected = self.round(request, &mut paths, number).await?;
            let mut new: Vec<PathBuf> = wanted(&collected).filter(|p| !asked.contains(p) && !self.forbids(p)).collect();
            if new.is_empty() || number == ROUNDS {
                return Ok(collected);
            }
            if let Some(target) = collected.env_local_target.filter(|target| new.contains(target)) {
                // Its folder, in which a link stays a link, with the files next to it; and its checkout.
                if let Some(folder) = target.parent().filter(|f| f.components().count() > 1 && !self.forbids(f)) {
                    new.retain(|path| *path != target);
                    new.push(folder.to_owned());
                }
                new.extend(checkouts_around(&target));
                asked.push(target);
            }
            asked.extend(new.iter().cloned());
            paths.extend(new);
        }
        bail!("the configuration probe did not come to an end")
    }
}

/// Paths that the next round should see: those that were named and not there, and the whole
/// checkout.
fn wanted(collected: &Collected) -> impl Iterator<Item = PathBuf> {
    let all = collected.unseen.iter().chain(&collected.checkout).chain(&collected.private);
    all.filter(|p| p.is_absolute() && p.components().count() > 1).cloned()
}

/// Those paths that lie below no other one of them.
fn outermost<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<&'a Path> {
    let mut all: Vec<&Path> = paths.collect();
    all.sort();
    all.dedup();
    let mut kept: Vec<&Path> = Vec::new();
    for path in all {
        if !kept.iter().any(|outer| path.starts_with(outer)) {
            kept.push(path);
        }
    }
    kept
}

/// What tells a checkout around a path, in every folder above it but the root.
fn checkouts_around(path: &Path) -> impl Iterator<Item = PathBuf> {
    path.ancestors().skip(1).filter(|dir| dir.components().count() > 1).map(|dir| dir.join(".git"))
}

/// Whether an engine's refusal names this path as the one that does not exist.
pub(super) fn names(why: &str, path: &Path) -> bool {
    let text = path.display().to_string();
    why.match_indices(&text).any(|(at, _)| {
        let next = why[at + text.len()..].chars().next();
        !next.is_some_and(|c| c == '/' || c.is_alphanumeric() || "._-".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_paths_are_mounted() {
        let paths = ["/srv/stack/birdhouse", "/srv/stack", "/srv/private", "/srv/stack-2", "/srv/stack"];
        let kept = outermost(paths.iter().map(Path::new));
        assert_eq!(kept, [Path::new("/srv/private"), Path::new("/srv/stack"), Path::new("/srv/stack-2")]);
    }

    #[test]
    fn the_engine_is_never_shown_to_a_probe() {
        let installation = Installation {
            image: "tender".into(),
            socket: "/srv/run/engine.sock".into(),
            state: crate::job::MountSource::Volume("state".into()),
            instance: "i".into(),
        };
        let fake = crate::engine::fake::Fake::new();
        let probe = ContainerProbe::new(&fake, &installation, "s");
        for path in
            ["/run", "/run/containerd", "/var/run", "/var/run/docker.sock", "/srv", "/srv/run", "/proc/1/root", "/dev"]
        {
            assert!(probe.forbids(Path::new(path)), "{path}");
        }
        for path in ["/srv/stack", "/var/lib/x", "/run/secrets/x", "/devel"] {
            assert!(!probe.forbids(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_refusal_names_a_whole_path() {
        let why = "invalid mount config for type \"bind\": bind source path does not exist: /srv/keys";
        assert!(names(why, Path::new("/srv/keys")));
        assert!(!names(why, Path::new("/srv/key")));
        assert!(!names(why, Path::new("/srv")));
    }
}
