//! Names that legacy stacks use and that are no settings here, and what became of each.

/// Names of the legacy scheduler without a meaning of their own here.
pub struct Legacy {
    /// The names; one that ends in `_` stands for all that begin with it.
    pub names: &'static [&'static str],
    /// What became of them, in one line.
    pub became: &'static str,
}

const fn gone(names: &'static [&'static str], became: &'static str) -> Legacy {
    Legacy { names, became }
}

/// All of them.
#[rustfmt::skip]
pub const LEGACY: &[Legacy] = &[
    gone(&["AUTODEPLOY_SILENT"], "the output of every job goes to its log file, always"),
    gone(&["AUTODEPLOY_GIT_GLOBAL_SAFE_DIRECTORY"], "git runs as the owner of each checkout, so nothing is to be declared safe"),
    gone(&["AUTODEPLOY_PLATFORM_EXTRA_DOCKER_ARGS"], "holds for the built-in autodeploy, and for the containers of the stack's wrapper and hooks"),
    gone(&["AUTODEPLOY_NOTEBOOK_EXTRA_DOCKER_ARGS"], "used by the stack's own job file only"),
    gone(&["AUTODEPLOY_EXTRA_REPOS_AS_DOCKER_VOLUMES", "AUTODEPLOY_JUPYTERHUB_ARGS"], "derived by the stack's own files; the built-in mounts what it needs by itself"),
    gone(&["CODE_OWNERSHIP"], "was the inside of BIRDHOUSE_AUTODEPLOY_CODE_OWNERSHIP, which holds"),
    gone(&["SCHEDULER_DOCKER", "SCHEDULER_VERSION"], "the image is SCHEDULER_IMAGE; that of the legacy scheduler is not used"),
    gone(&["SCHEDULER_JOB_AUTODEPLOY_DOCKER", "SCHEDULER_JOB_AUTODEPLOY_VERSION", "BIRDHOUSE_COMPOSE_DOCKER", "BIRDHOUSE_COMPOSE_VERSION"], "the parts of SCHEDULER_JOB_AUTODEPLOY_IMAGE, which is read as a whole"),
    gone(&["DOCKER_CLI_DOCKER", "DOCKER_CLI_VERSION", "DOCKER_CLI_IMAGE", "BASH_IMAGE", "RESTIC_IMAGE", "DEPLOY_DATA_YQ_IMAGE", "DEPLOY_DATA_RSYNC_IMAGE"], "used by the stack's own job files only; built-in jobs run in the scheduler's image"),
    gone(&["SCHEDULER_JOB_LOGROTATE_DOCKER", "SCHEDULER_JOB_LOGROTATE_VERSION", "LOGROTATE_DATA_DIR", "BIRDHOUSE_LOGROTATE_DATA_DIR"], "rotation is a built-in, and keeps its state in SCHEDULER_STATE_DIR"),
    gone(&["SCHEDULER_JOB_BACKUP_LOG_FILE_EXTRAS"], "the output of every job goes to its log file"),
    gone(&["SCHEDULER_JOB_LOGROTATE_NGINX_", "SCHEDULER_JOB_CLEAN_OLD_FILES_", "SCHEDULER_JOB_RAVEN_DEPLOY_DATA_", "SCHEDULER_JOB_XCLIM_DEPLOY_DATA_", "RENEW_LETSENCRYPT_SSL_", "DEPLOY_DATA_", "SCHEDULER_JOB_"], "used by the stack's own job files, which work as before"),
    gone(&["FORCE_CERTBOT_E2E", "FORCE_CERTBOT_E2E_NO_START_PROXY", "CERTBOT_RENEW", "CERTBOTWRAPPER_LOGFILE"], "used by the stack's own scripts, which work as before"),
    gone(&["TMP_BASE_DIR"], "a job gets a folder of its own for what is temporary"),
    gone(&["DOCKER_COMPOSE"], "compose is part of the image; BIRDHOUSE_AUTODEPLOY_COMPOSE_COMMAND names another program"),
    gone(&["BIRDHOUSE_LOCAL_ENV", "ENV_LOCAL_FILE", "BIRDHOUSE_LOCAL_ENV_REAL_PATH", "BIRDHOUSE_LOCAL_ENV_REAL_DIR", "COMPOSE_DIR", "BIRDHOUSE_COMPOSE", "BIRDHOUSE_EXE"], "derived from where the stack lies, for its files to use"),
    gone(&["BIRDHOUSE_FAIL_FAST", "BIRDHOUSE_DEBUG_MODE", "BIRDHOUSE_LOG_LEVEL", "BIRDHOUSE_LOG_QUIET", "BIRDHOUSE_LOG_FILE", "BIRDHOUSE_LOG_FD", "BIRDHOUSE_LOG_DEST_OVERRIDE", "BIRDHOUSE_COLOR"], "of the stack's own program, which gets them as before; the scheduler has SCHEDULER_LOG_LEVEL"),
    gone(&["LOG_FILE", "HOME_DIR", "DOCKER_PORT_2375_TCP"], "of the legacy scheduler's image; DOCKER_HOST says where the engine is"),
];

/// What became of a name, if it is one of these.
pub fn find(name: &str) -> Option<&'static Legacy> {
    let bare = name.strip_prefix("BIRDHOUSE_").filter(|n| n.starts_with("AUTODEPLOY_")).unwrap_or(name);
    let is = |known: &&str| *known == bare || *known == name || known.ends_with('_') && name.starts_with(*known);
    LEGACY.iter().find(|legacy| legacy.names.iter().any(is))
}

/// Whether it stands here letter by letter.
pub fn names_exactly(name: &str) -> bool {
    let bare = name.strip_prefix("BIRDHOUSE_").unwrap_or(name);
    LEGACY.iter().flat_map(|legacy| legacy.names).any(|known| *known == name || *known == bare)
}

/// What became of the legacy names, as a Markdown table.
pub fn legacy_table_markdown() -> String {
    let mut table = "| legacy name | what became of it |\n|---|---|\n".to_owned();
    for legacy in LEGACY {
        let names: Vec<String> = legacy
            .names
            .iter()
            .map(|name| if name.ends_with('_') { format!("`{name}…`") } else { format!("`{name}`") })
            .collect();
        table.push_str(&format!("| {} | {} |\n", names.join("<br>"), legacy.became));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::setting::Setting;

    #[test]
    fn no_setting_is_called_gone() {
        for name in LEGACY.iter().flat_map(|legacy| legacy.names).filter(|name| !name.ends_with('_')) {
            assert!(Setting::find(name).is_none(), "{name} is a setting");
            assert!(find(name).is_some() && legacy_table_markdown().contains(name), "{name}");
        }
        assert!(
            find("BIRDHOUSE_AUTODEPLOY_SILENT").is_some() && find("SCHEDULER_JOB_XCLIM_DEPLOY_DATA_JOB_X").is_some()
        );
        assert!(find("AUTODEPLOY_SILENCE").is_none() && find("BIRDHOUSE_LOG_FILES").is_none());
    }
}
