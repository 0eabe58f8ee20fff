//! Binding the socket so that no moment lets a stranger in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use tokio::net::UnixListener;

/// Binds in a private folder, narrows the mode, and only then moves the socket to its name: nobody
/// sees it with another mode, and a dead predecessor's socket is replaced in one step.
pub(super) fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    let about = || format!("failed to bind the control socket {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    let private = tempfile::Builder::new().prefix(".control-").tempdir_in(folder).with_context(about)?;
    let new = private.path().join("s");
    let listener = UnixListener::bind(&new).with_context(about)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600)).with_context(about)?;
    fs::rename(&new, path).with_context(about)?;
    Ok(listener)
}
