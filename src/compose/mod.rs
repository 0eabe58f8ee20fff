//! The only caller of the compose program (v2, and docker-compose 1.29).

mod child;
pub mod label;
mod leftovers;
mod model;
pub mod oneoff;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use leftovers::{Labelled, Leftover, Repair, leftovers};
pub use model::{Bind, Build, Dependency, Model, Probe, Service};
pub use oneoff::{OneOff, Resolved};

use crate::secret::Environment;

/// Where programs are looked for when the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything that decides what compose does. Nothing else of the caller's environment reaches it:
/// a variable of the shell would outrank the stack's own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compose {
    /// The program, such as `docker compose`, word by word.
    pub program: Vec<String>,
    /// Name of the project.
    pub project: String,
    /// Folder that relative paths start from.
    pub dir: PathBuf,
    /// Compose files, in order.
    pub files: Vec<PathBuf>,
    /// The whole environment; `PATH` and `HOME` get a value when they have none.
    pub env: Environment,
    /// Folder or file with the registry logins.
    pub docker_config: Option<PathBuf>,
}

impl Compose {
    /// The compose program of this machine: `docker-compose` (v2 as a program of its own, or
    /// 1.29), else `docker compose` where its plugin is there. `docker-compose` when nothing is
    /// found, so that the error names it.
    pub fn find_program() -> Vec<String> {
        let is_file = |path: PathBuf| path.is_file();
        let in_path = |name: &str| PATH.split(':').any(|dir| is_file(Path::new(dir).join(name)));
        let plugin = ["/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec"]
            .iter()
            .any(|dir| is_file(Path::new(dir).join("docker/cli-plugins/docker-compose")));
        if plugin && in_path("docker") {
            return vec!["docker".to_owned(), "compose".to_owned()];
        }
        vec!["docker-compose".to_owned()]
    }

    /// The version of the program, such as `2.26.1`.
    ///
    /// # Errors
    /// When it is not there or says something else.
    pub async fn version(&self) -> Result<String> {
        let words = self.program.iter().map(String::as_str).chain(["version", "--short"]).collect::<Vec<_>>();
        let said = child::output(self.child(&words)).await.context("failed to ask compose for its version")?;
        Ok(said.trim().trim_start_matches('v').to_owned())
    }

    /// The configuration as compose understands it, with the hash of each service.
    ///
    /// # Errors
    /// When compose refuses the files (its own words), or its answer is not understood.
    pub async fn model(&self) -> Result<Model> {
        // YAML, because 1.29 offers nothing else; v2 says the same in it.
        let text = child::output(self.command(&["config"])).await.context("compose refuses the configuration")?;
        let mut model = Model::parse(&text)?;
        for (service, hash) in self.hashes().await? {
            if let Some(service) = model.services.get_mut(&service) {
                service.config_hash = Some(hash);
            }
        }
        Ok(model)
    }

    /// The configuration with the services of all profiles, as far as it can be had: where one that is
    /// not active is at fault, with the active ones alone.
    ///
    /// # Errors
    /// When compose refuses the files (its own words), or its answer is no YAML.
    pub async fn resolved(&self) -> Result<Resolved> {
        let text = match child::output(self.command(&["--profile", "*", "config"])).await {
            Ok(text) => text,
            // Older releases do not know the star.
            Err(_) => child::output(self.command(&["config"])).await.context("compose refuses the configuration")?,
        };
        Resolved::parse(&text)
    }

    /// Service → hash of its configuration, as in the label of its containers. 1.29 takes the id of
    /// the image that is there into it: ask after pulling and building.
    ///
    /// # Errors
    /// When compose refuses the files (its own words).
    pub async fn hashes(&self) -> Result<BTreeMap<String, String>> {
        let arguments = ["config", "--hash", "*"];
        let text = child::output(self.command(&arguments)).await.context("compose refuses the configuration")?;
        Ok(model::hashes(&text))
    }

    /// Builds the images of these services; of all when none is named.
    ///
    /// # Errors
    /// When a build fails: the last lines that it said.
    pub async fn build(&self, services: &[String], sink: &mut dyn FnMut(&str)) -> Result<()> {
        let proxies = self.proxies();
        let proxies: Vec<&str> = proxies.iter().map(String::as_str).collect();
        let failed = match self.say("build", &proxies, services, None, sink).await {
            Err(failed) if self.lacks_buildx(&failed) => failed,
            done => return done,
        };
        sink(&format!("building without BuildKit: {failed:#}"));
        self.say("build", &proxies, services, Some(("DOCKER_BUILDKIT", "0")), sink).await
    }

    /// The proxies as build arguments, by name only: compose takes the value from its environment, and
    /// it may hold a password.
    fn proxies(&self) -> Vec<String> {
        let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"].map(|n| [n.to_owned(), n.to_lowercase()]);
        let set = names.into_iter().flatten().filter(|name| self.env.0.get(name).is_some_and(|v| !v.is_empty()));
        set.flat_map(|name| ["--build-arg".to_owned(), name]).collect()
    }

    /// Pulls the images of these services; of all when none is named.
    ///
    /// # Errors
    /// When a pull fails: the last lines that it said.
    pub async fn pull(&self, services: &[String], sink: &mut dyn FnMut(&str)) -> Result<()> {
        self.say("pull", &[], services, None, sink).await
    }

    /// `up -d` with these options (such as `--no-build`) for these services; for all when none is named.
    ///
    /// # Errors
    /// When it fails: the last lines that it said. Some services may have been changed.
    pub async fn up(&self, services: &[String], options: &[String], sink: &mut dyn FnMut(&str)) -> Result<()> {
        let options: Vec<&str> = ["-d"].into_iter().chain(options.iter().map(String::as_str)).collect();
        self.say("up", &options, services, None, sink).await
    }

    /// Runs a command in a one-off container of a service, and removes the container.
    ///
    /// # Errors
    /// When it ends with another code than 0: the last lines that it said.
    pub async fn run(&self, service: &str, command: &[String], sink: &mut dyn FnMut(&str)) -> Result<()> {
        let words: Vec<String> = [service.to_owned()].into_iter().chain(command.iter().cloned()).collect();
        self.say("run", &["--rm", "-T"], &words, None, sink).await
    }

    async fn say(
        &self,
        verb: &str,
        options: &[&str],
        services: &[String],
        variable: Option<(&str, &str)>,
        sink: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let services = services.iter().map(String::as_str);
        let arguments: Vec<&str> = [verb].into_iter().chain(options.iter().copied()).chain(services).collect();
        let mut command = self.command(&arguments);
        command.envs(variable);
        child::lines(command, sink).await.with_context(|| format!("compose {verb} failed"))
    }

    /// Newer releases of v2 build with a plugin that may be missing; its classic builder remains.
    fn lacks_buildx(&self, failed: &anyhow::Error) -> bool {
        !self.env.0.contains_key("DOCKER_BUILDKIT") && format!("{failed:#}").contains("buildx")
    }

    /// A call about the project.
    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let dir = self.dir.to_string_lossy().into_owned();
        let files: Vec<String> = self.files.iter().map(|f| f.to_string_lossy().into_owned()).collect();
        let mut words: Vec<&str> = self.program.iter().map(String::as_str).collect();
        words.extend(["--ansi", "never", "-p", &self.project, "--project-directory", &dir]);
        words.extend(files.iter().flat_map(|f| ["-f", f.as_str()]));
        words.extend(arguments);
        self.child(&words)
    }

    fn child(&self, words: &[&str]) -> tokio::process::Command {
        let path = self.env.0.get("PATH").map_or(PATH, String::as_str);
        // The child's PATH is not the one that the program is looked for in: that is done here.
        let program = words.first().copied().unwrap_or_default();
        let found = path.split(':').map(|dir| Path::new(dir).join(program)).find(|p| p.is_file());
        let mut command = tokio::process::Command::new(found.unwrap_or_else(|| program.into()));
        command.args(words.get(1..).unwrap_or_default()).current_dir(&self.dir).env_clear();
        command.env("PATH", PATH).env("HOME", "/root");
        if let Some(config) = &self.docker_config {
            let folder = if config.is_file() { config.parent().unwrap_or(config) } else { config };
            command.env("DOCKER_CONFIG", folder);
        }
        command.envs(&self.env.0);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compose(dir: &Path, script: &str) -> Compose {
        let program = dir.join("compose");
        std::fs::write(&program, script).unwrap();
        Compose {
            program: vec!["sh".to_owned(), program.display().to_string()],
            project: "p".to_owned(),
            dir: dir.to_owned(),
            files: vec!["a.yml".into(), "b.yml".into()],
            env: Environment([("GREETING".to_owned(), "hello".to_owned())].into()),
            docker_config: None,
        }
    }

    async fn said(compose: &Compose, services: &[&str]) -> (Result<()>, Vec<String>) {
        let mut lines = Vec::new();
        let services: Vec<String> = services.iter().map(|s| (*s).to_owned()).collect();
        let done = compose.up(&services, &["--no-build".to_owned()], &mut |line| lines.push(line.to_owned())).await;
        (done, lines)
    }

    #[tokio::test]
    async fn the_call_names_project_folder_and_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let (done, lines) = said(&compose(dir.path(), "echo \"$@\""), &["web", "db"]).await;
        done.unwrap();
        let folder = dir.path().display();
        let expected =
            format!("--ansi never -p p --project-directory {folder} -f a.yml -f b.yml up -d --no-build web db");
        assert_eq!(lines, [expected]);
    }

    #[tokio::test]
    async fn the_environment_is_what_was_given_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (done, mut lines) = said(&compose(dir.path(), "exec /usr/bin/env"), &[]).await;
        done.unwrap();
        lines.retain(|line| !line.starts_with("PWD=") && !line.starts_with("PATH=") && !line.starts_with("_="));
        lines.sort();
        assert_eq!(lines, ["GREETING=hello", "HOME=/root"]);
    }

    #[tokio::test]
    async fn a_failure_is_told_in_its_own_words() {
        let dir = tempfile::tempdir().unwrap();
        let (done, lines) =
            said(&compose(dir.path(), "echo progress; echo 'no such service: web' >&2; exit 14"), &[]).await;
        let error = format!("{:#}", done.unwrap_err());
        assert!(error.starts_with("compose up failed") && error.contains("no such service: web"), "{error}");
        assert!(!error.contains("progress"), "{error}");
        assert_eq!(lines.len(), 2);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let compose = Compose { program: vec!["no-such-compose".to_owned()], ..compose(dir.path(), "") };
        let error = format!("{:#}", compose.version().await.unwrap_err());
        assert!(error.contains("no-such-compose"), "{error}");
    }

    #[tokio::test]
    async fn a_build_gets_the_proxies_by_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut compose = compose(dir.path(), "echo \"$@\"");
        let pairs = [("HTTPS_PROXY", "http://me:pw@p:1"), ("https_proxy", "http://me:pw@p:1"), ("NO_PROXY", "")];
        compose.env.0.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut lines = Vec::new();
        compose.build(&["web".to_owned()], &mut |line| lines.push(line.to_owned())).await.unwrap();
        let said = lines.join(" ");
        assert!(said.ends_with("build --build-arg HTTPS_PROXY --build-arg https_proxy web"), "{said}");
    }

    #[tokio::test]
    async fn without_buildx_the_classic_builder_serves() {
        let dir = tempfile::tempdir().unwrap();
        let script =
            "[ \"$DOCKER_BUILDKIT\" = 0 ] && exit 0; echo 'compose build requires buildx 0.17 or later' >&2; exit 1";
        compose(dir.path(), script).build(&[], &mut |_| {}).await.unwrap();
        let other = compose(dir.path(), "echo 'syntax error' >&2; exit 1").build(&[], &mut |_| {}).await;
        assert!(format!("{:#}", other.unwrap_err()).contains("syntax error"));
    }

    #[tokio::test]
    async fn a_fault_in_a_profile_leaves_the_active_services() {
        let dir = tempfile::tempdir().unwrap();
        for (script, expected) in [
            ("case \"$*\" in *'--profile *'*) echo 'services: {a: {}, b: {}}';; *) exit 1;; esac", vec!["a", "b"]),
            ("case \"$*\" in *'--profile *'*) exit 1;; *) echo 'services: {a: {}}';; esac", vec!["a"]),
        ] {
            let resolved = compose(dir.path(), script).resolved().await.unwrap();
            assert_eq!(resolved.services().collect::<Vec<_>>(), expected);
        }
        assert!(compose(dir.path(), "exit 1").resolved().await.is_err());
    }

    #[tokio::test]
    async fn the_model_carries_the_hashes() {
        let dir = tempfile::tempdir().unwrap();
        let script =
            "case \"$*\" in *--hash*) echo 'web 00ff';; *) printf 'services:\\n  web:\\n    image: a\\n';; esac";
        let model = compose(dir.path(), script).model().await.unwrap();
        assert_eq!(model.services["web"].config_hash.as_deref(), Some("00ff"));
    }
}
