//! The settings as texts, straight from the variables.

use serde::{Deserialize, Serialize};

/// Every setting of the table as it was written; nothing where it is not set. Holds secrets; has no
/// `Debug` for that reason.
#[derive(Default, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is described in the table of settings")]
pub struct RawSettings {
    pub birdhouse_extra_conf_dirs: Option<String>,
    pub birdhouse_default_conf_dirs: Option<String>,
    pub birdhouse_autodeploy_extra_repos: Option<String>,
    pub birdhouse_autodeploy_platform_frequency: Option<String>,
    pub birdhouse_autodeploy_deploy_key_root_dir: Option<String>,
    pub birdhouse_autodeploy_host_keys: Option<String>,
    pub birdhouse_autodeploy_code_ownership: Option<String>,
    pub birdhouse_autodeploy_snapshot: Option<String>,
    pub birdhouse_autodeploy_compose_command: Option<String>,
    pub birdhouse_autodeploy_extra_scheduler_jobs: Option<String>,
    pub birdhouse_compose_up_extra_opts: Option<String>,
    pub birdhouse_compose_template_skip: Option<String>,
    pub birdhouse_compose_template_force: Option<String>,
    pub birdhouse_log_dir: Option<String>,
    pub birdhouse_backward_compatible_allowed: Option<String>,
    pub compose_project_name: Option<String>,
    pub docker_host: Option<String>,
    pub scheduler_timezone: Option<String>,
    pub scheduler_state_dir: Option<String>,
    pub scheduler_log_format: Option<String>,
    pub scheduler_log_level: Option<String>,
    pub scheduler_max_running: Option<String>,
    pub scheduler_grace: Option<String>,
    pub scheduler_max_output: Option<String>,
    pub scheduler_keep_runs: Option<String>,
    pub scheduler_keep_for: Option<String>,
    pub scheduler_keep_output: Option<String>,
    pub scheduler_pids_limit: Option<String>,
    pub scheduler_start_delay: Option<String>,
    pub scheduler_image: Option<String>,
    pub scheduler_job_autodeploy_image: Option<String>,
    pub scheduler_gate_soak: Option<String>,
    pub scheduler_gate_timeout: Option<String>,
    pub scheduler_min_free: Option<String>,
    pub scheduler_docker_config: Option<String>,
    pub scheduler_probe_dirs: Option<String>,
    pub scheduler_config_poll: Option<String>,
    pub scheduler_job_hardened: Option<String>,
    pub scheduler_job_proxy: Option<String>,
    pub scheduler_legacy_jobs: Option<String>,
    pub scheduler_host_jobs: Option<String>,
    pub scheduler_poll_jitter: Option<String>,
    pub http_proxy: Option<String>,
    pub https_proxy: Option<String>,
    pub all_proxy: Option<String>,
    pub no_proxy: Option<String>,
    pub scheduler_ca_file: Option<String>,
    pub birdhouse_autodeploy_follow: Option<String>,
    pub birdhouse_autodeploy_rebuild_frequency: Option<String>,
    pub birdhouse_autodeploy_image_min_age: Option<String>,
    pub birdhouse_autodeploy_stop_first: Option<String>,
    pub birdhouse_autodeploy_notebook_frequency: Option<String>,
    pub workflow_tests_branch: Option<String>,
    pub jupyterhub_user_data_dir: Option<String>,
    pub logrotate_config_dirs: Option<String>,
    pub scheduler_job_backup_frequency: Option<String>,
    pub scheduler_job_backup_args: Option<String>,
    pub birdhouse_backup_restic_env_file: Option<String>,
    pub birdhouse_backup_ssh_key_dir: Option<String>,
    pub birdhouse_backup_volume: Option<String>,
    pub birdhouse_backup_restic_backup_args: Option<String>,
    pub birdhouse_backup_restic_forget_args: Option<String>,
    pub scheduler_listen: Option<String>,
    pub scheduler_token: Option<String>,
    pub scheduler_heartbeat_url: Option<String>,
    pub scheduler_notify: Option<String>,
    pub scheduler_revive: Option<String>,
    pub scheduler_observe: Option<String>,
    pub scheduler_self_update: Option<String>,
    pub scheduler_build_memory: Option<String>,
    pub scheduler_build_cpus: Option<String>,
    pub scheduler_engine: Option<String>,
    pub extra_packages: Option<String>,
}

impl RawSettings {
    /// From pairs of names of the table and values.
    ///
    /// # Errors
    /// Never for texts; the signature is that of the reader.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, envy::Error> {
        envy::from_iter(pairs)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::setting::SETTINGS;

    #[test]
    fn fields_and_table_name_the_same_set() {
        let fields = serde_json::to_value(RawSettings::default()).unwrap();
        let fields: BTreeSet<String> = fields.as_object().unwrap().keys().map(|k| k.to_uppercase()).collect();
        assert_eq!(fields, SETTINGS.iter().map(|s| s.name.to_owned()).collect());
    }
}
