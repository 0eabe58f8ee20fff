//! Settings that hold a secret may be given as `<NAME>_FILE`, the path of a file that holds it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Problem;
use super::conf_dir::absolute;
use super::probe::{Collected, Gathered, Text};
use super::setting::SETTINGS;

/// A secret that is larger is something else.
const LIMIT: u64 = 64 << 10;

/// Takes the secrets of all files that are named into the variables. Text of theirs is in no problem.
pub fn gather(collected: &mut Collected) {
    for setting in SETTINGS {
        let set = |name: &&str| collected.values.get(*name).is_some_and(|g| !g.mapped && !g.value.is_empty());
        let mut given = setting.names().find(set).map(str::to_owned);
        for (name, file_name) in setting.file_names() {
            let Some(named) = collected.values.get(&file_name).filter(|g| !g.value.is_empty()).cloned() else {
                continue;
            };
            let refused = |message: String| Problem::error(&named.source, message);
            if let Some(other) = given.replace(file_name.clone()) {
                // Which of them is meant, nobody can tell.
                for name in setting.names() {
                    collected.values.remove(name);
                }
                let problem = refused(format!("{file_name} and {other} are both set; neither holds"));
                collected.problems.push(problem.at_name(&file_name).hint("set only one of them"));
                continue;
            }
            let path = absolute(&collected.compose_dir, named.value.lossy());
            if !path.exists() {
                collected.unseen.push(path.clone());
            }
            match read(&path) {
                Ok((text, open)) => {
                    if open {
                        collected.problems.push(
                            Problem::warning(path.display().to_string(), "holds a secret that everybody can read")
                                .at_name(&file_name)
                                .hint("chmod o-r takes that away"),
                        );
                    }
                    collected.existing.insert(path.clone());
                    collected
                        .values
                        .insert(name.to_owned(), Gathered::new(Text::Utf8(text), path.display().to_string()));
                }
                Err(message) => {
                    let problem = refused(message).at(&file_name, &path.display().to_string());
                    collected.problems.push(problem.hint("a file of the host that holds the secret and nothing else"));
                }
            }
        }
    }
}

/// The files that secrets came from.
pub fn paths(collected: &Collected) -> impl Iterator<Item = PathBuf> {
    let named = SETTINGS.iter().flat_map(super::Setting::file_names);
    named
        .filter(|(_, file_name)| collected.values.get(file_name).is_some_and(|g| !g.value.is_empty()))
        .filter_map(|(name, _)| collected.values.get(name))
        .map(|gathered| PathBuf::from(&gathered.source))
        .filter(|path| collected.existing.contains(path))
}

/// The text of a file, and whether others than its owner and group can read it.
fn read(path: &Path) -> Result<(String, bool), String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let meta = fs::metadata(path).map_err(failed)?;
    if meta.is_dir() {
        return Err("is a folder".to_owned());
    }
    if !meta.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err("is larger than 64 KiB".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok((text.to_owned(), meta.permissions().mode() & 0o004 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_every_kind() {
        let dir = tempfile::tempdir().unwrap();
        let made = |name: &str, bytes: &[u8], mode: u32| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(&path).map_err(|e| e.split(':').next().unwrap().to_owned())
        };
        let full = vec![b'x'; usize::try_from(LIMIT).unwrap()];
        let more = [full.clone(), b"x".to_vec()].concat();
        for (bytes, mode, expected) in [
            (b"hunter2\n".as_slice(), 0o600, Ok(("hunter2", false))),
            (b"hunter2\r\n", 0o640, Ok(("hunter2", false))),
            (b" two lines\n\n", 0o644, Ok((" two lines\n", true))),
            (b"", 0o600, Err("is empty")),
            (b"\n", 0o600, Err("is empty")),
            (b"\xff", 0o600, Err("is not UTF-8")),
            (&more, 0o600, Err("is larger than 64 KiB")),
        ] {
            let expected = expected.map(|(t, open)| (t.to_owned(), open)).map_err(str::to_owned);
            assert_eq!(made("f", bytes, mode), expected, "{}", bytes.len());
        }
        assert_eq!(made("f", &full, 0o600).unwrap().0.len(), full.len());
        assert_eq!(read(dir.path()).unwrap_err(), "is a folder");
        assert_eq!(read(&dir.path().join("none")).unwrap_err(), "does not exist");
        assert_eq!(read(Path::new("/dev/null")).unwrap_err(), "is not a file");
        assert!(read(&dir.path().join("f/below")).unwrap_err().starts_with("cannot be read"), "unreadable");
    }
}
