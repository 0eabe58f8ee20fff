//! What conf dirs hold for a deploy: templates and hooks.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Problem;
use super::hook::{Hook, HookKind};
use super::probe::{Collected, Text};
use super::template::{ENDING, TemplateFile};

/// A template larger than this is a mistake.
const FILE_LIMIT: u64 = 4 << 20;

/// Entries that all conf dirs together may have; more is data in the wrong place.
const MOST: usize = 100_000;

/// Gathers them in the order of the conf dirs.
pub fn gather(collected: &mut Collected) {
    let mut left = MOST;
    let dirs: Vec<PathBuf> = collected.conf_dirs.iter().filter(|d| d.active).map(|d| d.path.clone()).collect();
    dirs.iter().for_each(|dir| hooks(collected, dir));
    for dir in dirs {
        walk(collected, &dir, &dir, &mut left);
        if left == 0 {
            collected.problems.push(
                Problem::error(
                    dir.display().to_string(),
                    format!("the conf dirs hold more than {MOST} files: templates from here on are not found"),
                )
                .hint("keep data out of conf dirs"),
            );
            return;
        }
    }
}

/// Whether a file is there that may be run.
pub fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn hooks(collected: &mut Collected, dir: &Path) {
    for kind in HookKind::ALL {
        let path = dir.join(kind.file());
        if !path.is_file() {
            continue;
        }
        // One that is sourced needs no x bit.
        if kind != HookKind::Include && !is_executable(&path) {
            collected.problems.push(
                Problem::warning(path.display().to_string(), "is not executable and is not run")
                    .hint("`chmod +x` and commit it, or remove it"),
            );
            continue;
        }
        collected.hooks.push(Hook { path, kind });
    }
}

/// Looks through a folder by names. Folders behind links are not entered.
fn walk(collected: &mut Collected, dir: &Path, folder: &Path, left: &mut usize) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let problem = format!("cannot be looked through for templates: {error}");
            return collected.problems.push(Problem::warning(folder.display().to_string(), problem));
        }
    };
    let mut entries: Vec<fs::DirEntry> = entries.flatten().take(*left).collect();
    *left -= entries.len();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            if entry.file_name() != ".git" {
                walk(collected, dir, &path, left);
            }
        } else if entry.file_name().to_string_lossy().ends_with(ENDING) {
            template(collected, dir, path);
        }
    }
}

fn template(collected: &mut Collected, dir: &Path, path: PathBuf) {
    // A conf dir inside another one.
    if collected.templates.iter().any(|t| t.path == path) {
        return;
    }
    let mut refuse = |why: String| {
        collected.problems.push(Problem::error(path.display().to_string(), format!("is not rendered: {why}")))
    };
    if path.to_str().is_none() {
        return refuse("its path is not UTF-8".to_owned());
    }
    if path.file_name().is_some_and(|name| name == ENDING) {
        return refuse("it has no name but the ending".to_owned());
    }
    let mut bytes = Vec::new();
    let read = fs::File::open(&path).and_then(|file| {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(std::io::Error::other("it is not a file"));
        }
        file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
        Ok(meta.permissions().mode() & 0o777)
    });
    match read {
        Err(error) => refuse(format!("it cannot be read: {error}")),
        Ok(_) if bytes.len() as u64 > FILE_LIMIT => refuse("it is larger than 4 MiB".to_owned()),
        Ok(mode) => collected.templates.push(TemplateFile { dir: dir.to_owned(), path, mode, text: Text::from(bytes) }),
    }
}
