//! Keys, tokens and known hosts, read by the parent: the checkout's owner has no access to them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Failure;
use super::request::Key;

/// Serves every checkout that has no key of its own.
const SHARED: &str = "id_rsa_git_ssh_read_only";

/// What the key folder holds for one checkout.
#[derive(Default)]
pub(super) struct Keyring {
    pub(super) key: Option<Key>,
    /// Where a key for this checkout belongs.
    pub(super) wanted: Option<PathBuf>,
    pub(super) token: Option<String>,
    /// Text of `known_hosts`.
    pub(super) known_hosts: String,
}

/// Reads `<checkout's folder name>_deploy_key`, else the shared key; `<name>_token`; `known_hosts`.
pub(super) fn read(key_dir: Option<&Path>, checkout: &Path) -> Result<Keyring, Failure> {
    let Some(dir) = key_dir else { return Ok(Keyring::default()) };
    let name = checkout.file_name().unwrap_or_default().to_string_lossy();
    let own = dir.join(format!("{name}_deploy_key"));
    let mut key = None;
    for path in [&own, &dir.join(SHARED)] {
        if let Some(text) = text(path)? {
            key = Some(Key { path: path.clone(), text });
            break;
        }
    }
    let token = text(&dir.join(format!("{name}_token")))?.map(|text| text.trim().to_owned());
    let known_hosts = text(&dir.join("known_hosts"))?.unwrap_or_default();
    Ok(Keyring { key, wanted: Some(own), token, known_hosts })
}

/// `None` when there is no such file. A folder in its place is what Docker makes of a bind mount
/// whose source is missing, and as good as nothing.
pub(super) fn text(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => Ok(None),
        Err(error) => Err(Failure::Auth(format!("failed to read {}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_its_own_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let ring = |checkout: &str| read(Some(dir.path()), Path::new(checkout)).unwrap();
        assert!(ring("/srv/app").key.is_none());
        assert_eq!(ring("/srv/app").wanted, Some(dir.path().join("app_deploy_key")));
        fs::write(dir.path().join(SHARED), "shared").unwrap();
        fs::write(dir.path().join("app_deploy_key"), "own").unwrap();
        fs::write(dir.path().join("app_token"), "t0ken\n").unwrap();
        fs::write(dir.path().join("known_hosts"), "hosts").unwrap();
        assert_eq!(ring("/srv/app").key.unwrap().text, "own");
        assert_eq!(ring("/srv/other").key.unwrap().text, "shared");
        assert_eq!(ring("/srv/app").token.as_deref(), Some("t0ken"));
        assert_eq!(ring("/srv/other").token, None);
        assert_eq!(ring("/srv/app").known_hosts, "hosts");
        assert!(read(None, Path::new("/srv/app")).unwrap().key.is_none());
    }
}
