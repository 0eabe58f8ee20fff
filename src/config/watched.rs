//! What could change the configuration without being one of the files that were read.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::probe::Collected;

/// What a conf dir may bring at any time.
const OF_A_CONF_DIR: &[&str] =
    &["default.env", "jobs.yml", "config/scheduler/jobs.yml", "docker-compose-extra.yml", "deploy.yml", "config"];

/// Files and folders that would be read if they were there.
pub fn absent(collected: &Collected) -> Vec<PathBuf> {
    let mut paths: BTreeSet<PathBuf> = ["default.env", "docker-compose.override.yml", ".env"]
        .iter()
        .map(|name| collected.compose_dir.join(name))
        .collect();
    for dir in &collected.conf_dirs {
        if dir.active {
            paths.extend(OF_A_CONF_DIR.iter().map(|name| dir.path.join(name)));
        } else if dir.is_missing() {
            paths.insert(dir.path.clone());
        }
    }
    paths.retain(|path| !collected.files.contains_key(path) && !collected.existing.contains(path));
    paths.into_iter().collect()
}

/// Whether a shell file may read others, or ask programs: then its own text says not all that its
/// values depend on. Rather once too often than never.
pub fn may_read_more(text: &str) -> bool {
    let commands = text.split(['\n', ';', '&', '|', '{', '(']).map(str::trim_start);
    let sources = |command: &str| command.starts_with(". ") || command.starts_with("source ");
    text.contains("$(") || text.contains('`') || commands.into_iter().any(sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfDir;

    #[test]
    fn files_that_depend_on_others() {
        for text in [
            ". ./x",
            "A=1; . /x",
            "if true; then\n  . ./x\nfi",
            "source x",
            "A=$(cat x)",
            "A=`date`",
            "[ -f x ] && . x",
        ] {
            assert!(may_read_more(text), "{text}");
        }
        for text in ["", "export A=1\nB=./x", "A='x . y'", "A=resource"] {
            assert!(!may_read_more(text), "{text}");
        }
    }

    #[test]
    fn what_may_still_come() {
        let dir = |path: &str, active: bool, reason: Option<&str>| ConfDir {
            path: path.into(),
            active,
            reason: reason.map(str::to_owned),
        };
        let mut collected = Collected {
            compose_dir: "/s".into(),
            conf_dirs: vec![
                dir("/s/a", true, None),
                dir("/elsewhere/b", false, Some(ConfDir::MISSING)),
                dir("/s/c", false, Some("commented out")),
            ],
            ..Collected::default()
        };
        collected.existing.insert("/s/a/default.env".into());
        let shown: Vec<String> = absent(&collected).iter().map(|p| p.display().to_string()).collect();
        assert_eq!(
            shown,
            [
                "/elsewhere/b",
                "/s/.env",
                "/s/a/config",
                "/s/a/config/scheduler/jobs.yml",
                "/s/a/deploy.yml",
                "/s/a/docker-compose-extra.yml",
                "/s/a/jobs.yml",
                "/s/default.env",
                "/s/docker-compose.override.yml",
            ]
        );
    }
}
