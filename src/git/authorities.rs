//! The certificate authorities that are trusted for https.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempPath;

use super::Failure;

/// A file with the authorities of this machine and those of another file (PEM). Every user can read
/// it: git works as the owner of a checkout. Gone when it is dropped.
pub(super) fn with(ca_file: &Path) -> Result<TempPath> {
    let further = fs::read(ca_file)
        .map_err(|error| Failure::Other(format!("the certificate authorities in {}: {error}", ca_file.display())))?;
    // Where libgit2 looks for them itself.
    let machine = openssl_probe::probe().cert_file.and_then(|file| fs::read(file).ok()).unwrap_or_default();
    let failed = "failed to write the certificate authorities";
    let mut file = tempfile::NamedTempFile::with_prefix("tender-ca-").context(failed)?;
    file.write_all(&[machine, b"\n".to_vec(), further].concat()).context(failed)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).context(failed)?;
    Ok(file.into_temp_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_the_machine_stay() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("ca.pem");
        fs::write(&own, "further").unwrap();
        let path = with(&own).unwrap();
        let (text, meta) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap());
        let machine = openssl_probe::probe().cert_file.map(|file| fs::read(file).unwrap()).unwrap_or_default();
        assert_eq!(text, [machine.as_slice(), b"\nfurther"].concat());
        assert_eq!(meta.permissions().mode() & 0o777, 0o644);
        let kept = path.to_path_buf();
        drop(path);
        assert!(!kept.exists());
        assert!(with(&dir.path().join("none")).unwrap_err().to_string().contains("none"));
    }
}
