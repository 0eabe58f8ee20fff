//! Where Tender itself is installed, found from its own container.

use std::path::{Path, PathBuf};

use crate::config::Installation;
use crate::engine::{EngineError, Host, SeenMount};
use crate::job::MountSource;

/// Where the engine's socket is mounted in Tender's own containers.
pub const SOCKET: &str = "/var/run/docker.sock";

/// Looks at the own container: its image, what it mounts as socket and as state. Outside a
/// container, or without an engine, `image` and the usual places are taken.
///
/// # Errors
/// When the engine answers, and not as expected.
pub async fn find(
    host: &impl Host,
    image: &str,
    state_dir: &Path,
    instance: String,
) -> Result<Installation, EngineError> {
    let plain = Installation {
        image: image.to_owned(),
        socket: PathBuf::from(SOCKET),
        state: MountSource::Bind(state_dir.to_owned()),
        instance,
    };
    let me = match host.me().await {
        Ok(Some(me)) => me.seen,
        Ok(None) | Err(EngineError::Unavailable(_)) => return Ok(plain),
        Err(error) => return Err(error),
    };
    let at = |target: &Path| me.mounts.iter().find(|m| m.target == target);
    Ok(Installation {
        socket: at(Path::new(SOCKET)).map_or(plain.socket, |m| m.source.clone()),
        state: at(state_dir).map_or(plain.state, source),
        image: me.image.clone(),
        instance: plain.instance,
    })
}

fn source(mount: &SeenMount) -> MountSource {
    match &mount.name {
        Some(name) => MountSource::Volume(name.clone()),
        None => MountSource::Bind(mount.source.clone()),
    }
}
