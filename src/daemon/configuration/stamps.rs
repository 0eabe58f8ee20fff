//! The state of files, as far as this process can see them. Blocks: not for the loop's thread.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Each file with its state.
pub type Stamps = BTreeMap<PathBuf, Stamp>;

/// The state of one path: of itself and, where it is a symlink, of what it leads to. Nothing for
/// what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    link: Option<Mark>,
    file: Option<Mark>,
}

/// The time alone misses a second write within one tick, and an older file that is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    modified: (i64, i64),
    changed: (i64, i64),
    size: u64,
    inode: u64,
}

impl Stamp {
    /// The state at this moment.
    pub fn of(path: &Path) -> Self {
        let mark = |m: Metadata| Mark {
            modified: (m.mtime(), m.mtime_nsec()),
            changed: (m.ctime(), m.ctime_nsec()),
            size: m.size(),
            inode: m.ino(),
        };
        Self { link: path.symlink_metadata().ok().map(mark), file: path.metadata().ok().map(mark) }
    }

    /// Whether anything is there.
    pub const fn exists(&self) -> bool {
        self.file.is_some()
    }

    /// Whether it was touched at that moment or later.
    pub fn is_newer_than(&self, moment: SystemTime) -> bool {
        let moment = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let moment = (i64::try_from(moment.as_secs()).unwrap_or(i64::MAX), i64::from(moment.subsec_nanos()));
        [self.link, self.file].iter().flatten().any(|mark| mark.modified.max(mark.changed) >= moment)
    }
}

/// What of the host's files this process sees at their own paths.
#[derive(Debug, Clone)]
pub struct View {
    roots: Vec<PathBuf>,
}

impl View {
    /// Everything: a process outside of a container.
    pub fn whole() -> Self {
        Self { roots: vec!["/".into()] }
    }

    /// Only what lies below these. A path elsewhere may exist in the container's own file system,
    /// as another file.
    pub const fn below(roots: Vec<PathBuf>) -> Self {
        Self { roots }
    }

    /// Whether this path would be seen if it were there.
    pub fn sees(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root))
    }

    /// The state of those paths that can be seen.
    pub fn stamps<'a>(&self, paths: impl IntoIterator<Item = &'a PathBuf>) -> Stamps {
        paths.into_iter().filter(|path| self.sees(path)).map(|path| (path.clone(), Stamp::of(path))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_kind_of_change_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other, link) = (dir.path().join("file"), dir.path().join("other"), dir.path().join("link"));
        assert!(!Stamp::of(&file).exists());
        fs::write(&file, "one").unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        let first = Stamp::of(&file);
        assert!(first.exists() && first == Stamp::of(&file));
        // Another text with the time of the first one: in place, and by another file at its name.
        fs::write(&file, "four").unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        let second = Stamp::of(&file);
        assert_ne!(second, first);
        fs::write(&other, "five").unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        fs::rename(&other, &file).unwrap();
        assert_ne!(Stamp::of(&file), second);
        // A symlink: another target, another text behind it, a target that is gone.
        symlink("file", &link).unwrap();
        let through = Stamp::of(&link);
        fs::write(&file, "six six").unwrap();
        assert_ne!(Stamp::of(&link), through);
        fs::remove_file(&file).unwrap();
        assert!(!Stamp::of(&link).exists() && Stamp::of(&link) != Stamp::default());
    }

    #[test]
    fn the_moment_of_the_last_touch() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let before = SystemTime::now() - std::time::Duration::from_secs(10);
        fs::write(&file, "one").unwrap();
        assert!(Stamp::of(&file).is_newer_than(before));
        assert!(!Stamp::of(&file).is_newer_than(SystemTime::now() + std::time::Duration::from_secs(10)));
        assert!(!Stamp::default().is_newer_than(before));
    }

    #[test]
    fn only_what_lies_at_its_own_path_is_looked_at() {
        let view = View::below(vec!["/stack".into()]);
        assert!(view.sees(Path::new("/stack/env.local")) && !view.sees(Path::new("/stack-2/x")));
        let paths: Vec<PathBuf> = vec!["/etc/hostname".into(), "/stack/x".into()];
        assert_eq!(view.stamps(&paths).into_keys().collect::<Vec<_>>(), [PathBuf::from("/stack/x")]);
        assert_eq!(View::whole().stamps(&paths).len(), 2);
    }
}
