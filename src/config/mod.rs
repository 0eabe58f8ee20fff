//! From text to validated values: nothing downstream sees a string that is still to be parsed.
//!
//! [`Probe::collect`] evaluates the shell files and gathers the text of all others ([`Collected`]);
//! [`resolve()`] turns that into [`Loaded`] without touching anything outside.
//!
//! ```text
//! probe ─▶ evaluate (interpreter, shell, probe.sh) ─▶ gather ─▶ Collected ─▶ resolve ─▶ Loaded
//!                                                                  ├─ aliases, raw, validate: Settings
//!                                                                  ├─ template: rendered texts
//!                                                                  └─ job_list ─▶ job ─▶ job_action ─▶ job_container
//! ```
//!
//! The keys of job files stand in one table (`keys`), the flags of `docker run` in another
//! (`docker_flags`); what is read and cannot be run yet is refused by `support`.

mod aliases;
mod assignments;
mod compose_files;
mod conf_dir;
mod delayed;
mod derived;
mod dir_files;
mod docker_args;
mod docker_flags;
mod docker_logins;
mod docker_values;
mod document;
mod env_file;
mod evaluate;
mod excerpt;
mod expand;
mod fields;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gather;
mod hook;
mod interpreter;
mod job;
mod job_action;
mod job_alerts;
mod job_command;
mod job_container;
mod job_document;
mod job_extra;
mod job_file;
mod job_follow_ups;
mod job_http;
mod job_list;
mod job_policy;
mod job_stop;
mod keys;
mod legacy;
mod load;
mod loaded;
mod masking;
mod names;
mod origin;
mod probe;
mod problem;
mod proxies;
mod raw;
mod reaper;
mod rendered;
mod resolve;
mod said;
mod secret_file;
mod services;
mod setting;
mod settings;
mod settings_text;
mod shell;
mod shell_dump;
mod shell_error;
mod support;
mod takes;
mod template;
mod validate;
mod values;
mod watched;
mod words;
mod written;
mod wrong;
mod yaml;

pub use docker_logins::LoginFile;
pub use document::{config_document, problems_document, variables_document};
pub use excerpt::Excerpt;
pub use hook::{Hook, HookKind};
pub use job_document::{action_document, container_document, job_document};
pub use keys::job_keys_markdown;
pub use legacy::legacy_table_markdown;
pub use load::{LoadError, load, look};
pub use loaded::{ConfDir, Loaded, Sourced};
pub use masking::Masking;
pub use origin::{Origin, Place};
pub use probe::{
    Collected, Gathered, JobFile, Probe, ProbeRequest, ProcessProbe, TIME_LIMIT_MS, Text, Written, collect_here,
    probe_alone, probe_main,
};
pub use problem::{Problem, Severity, visible};
pub use resolve::resolve;
pub use services::unknown_services;
pub use setting::{Role, SETTINGS, Setting};
pub use settings::{HostKeys, Installation, LegacyJobs, LogFormat, Settings, Snapshot, Templates};
pub use settings_text::{settings_example, settings_table_markdown};
pub use takes::Takes;
pub use template::{Template, TemplateFile};
pub use watched::may_read_more;
pub use words::quote;
