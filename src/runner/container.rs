//! Which container an action becomes. Pure; the run's own labels and environment come later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Room;
use crate::config::{Installation, Settings};
use crate::http::Order;
use crate::job::{Action, Builtin, ContainerSpec, ExecSpec, Http, Job, Mount, MountSource, PullPolicy};
use crate::run::{RunId, labels};
use crate::secret::Environment;

/// Where the engine's socket lies inside Tender's own containers.
pub const SOCKET: &str = "/var/run/docker.sock";

/// Where the state lies inside Tender's own containers.
pub const STATE: &str = "/var/lib/tender";

/// Processes that a container of Tender's own may have.
const PIDS: i64 = 512;

/// The container of an action. `job` is the job that it belongs to, `paths` what the
/// configuration was read from: a built-in that works on the checkouts reads it again.
pub fn container_for(
    action: &Action,
    job: Option<&Job>,
    settings: &Settings,
    installation: &Installation,
    paths: &[PathBuf],
) -> ContainerSpec {
    match action {
        Action::Run(spec) => limited((**spec).clone(), settings),
        Action::Exec(exec) => holder(exec, job, settings, installation),
        // Everything else about it is asked when the run begins (`oneoff`).
        Action::ServiceRun(run) => ContainerSpec {
            command: run.command.clone(),
            entrypoint: run.entrypoint.clone(),
            env: run.env.clone(),
            user: run.user.clone(),
            workdir: run.workdir.clone(),
            ..ContainerSpec::default()
        },
        Action::Http(http) => requester(http, settings, installation),
        Action::Host(host) => super::host_job::container(host, installation),
        Action::Builtin(builtin) => built_in(*builtin, job, settings, installation, paths),
    }
}

/// As [`container_for`], with further environment for one run.
pub fn container_of_run(
    action: &Action,
    extra: &Environment,
    job: Option<&Job>,
    settings: &Settings,
    installation: &Installation,
    paths: &[PathBuf],
) -> ContainerSpec {
    let mut spec = container_for(&with_env(action, extra), job, settings, installation, paths);
    if let Action::Builtin(_) = action {
        // Environment given on request never replaces what the container is told by us.
        let extra = extra.0.iter().filter(|(name, _)| !name.starts_with("TENDER_"));
        spec.env.0.extend(extra.map(|(name, value)| (name.clone(), value.clone())));
    }
    spec
}

/// An action with further environment for one run.
#[must_use]
pub(super) fn with_env(action: &Action, extra: &Environment) -> Action {
    let mut action = action.clone();
    let add = |env: &mut Environment| env.0.extend(extra.0.clone());
    match &mut action {
        Action::Run(spec) => add(&mut spec.env),
        Action::Exec(exec) => add(&mut exec.env),
        Action::ServiceRun(run) => add(&mut run.env),
        Action::Host(host) => add(&mut host.env),
        Action::Http(_) | Action::Builtin(_) => {}
    }
    action
}

/// Where a run may leave its result document, inside its container; `None` for containers that
/// do not have the state volume.
pub fn result_path(action: &Action, run: &RunId) -> Option<PathBuf> {
    match action {
        Action::Builtin(builtin) if builtin.needs().state => {
            Some(Path::new(STATE).join("results").join(format!("{run}.json")))
        }
        _ => None,
    }
}

/// A container of a user's own, with what the settings give to all of them.
pub(super) fn limited(mut spec: ContainerSpec, settings: &Settings) -> ContainerSpec {
    spec.pids = spec.pids.or((settings.pids_limit > 0).then_some(settings.pids_limit));
    if settings.job_proxy {
        // What the job says itself holds.
        for (name, value) in &settings.proxies.0 {
            spec.env.0.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    spec
}

/// The container that asks compose about the checkouts as they are: it sees them, and nothing else.
pub(super) fn asker(room: &Room) -> ContainerSpec {
    let (settings, installation) = (&room.settings, &room.installation);
    let mut spec = hardened(installation, &["job", "configuration"]);
    let mut mounts = Mounts::default();
    mounts.add(&settings.compose_dir, true);
    settings.env_local.parent().into_iter().for_each(|path| mounts.add(path, true));
    settings.checkouts.iter().chain(&room.paths).for_each(|path| mounts.add(path, true));
    spec.mounts.extend(mounts.least());
    spec.optional = mounts.0.into_keys().filter(|path| !settings.compose_dir.starts_with(path)).collect();
    // It reads what belongs to others; the mounts are read-only.
    spec.cap_add = vec!["DAC_OVERRIDE".to_owned()];
    spec.env.0.insert("TENDER_SETTINGS".to_owned(), json(settings));
    spec.env.0.insert("TENDER_STACK_ENV".to_owned(), json(&room.stack_env));
    spec.labels = [
        (labels::INSTANCE, installation.instance.clone()),
        (labels::COMPOSE_DIR, settings.compose_dir.display().to_string()),
        (labels::ROLE, "probe".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    spec
}

/// What all containers of Tender's own image share: as little as possible.
pub fn hardened(installation: &Installation, command: &[&str]) -> ContainerSpec {
    sealed(&installation.image, command)
}

/// The same for those who know the image only.
pub fn sealed(image: &str, command: &[&str]) -> ContainerSpec {
    ContainerSpec {
        image: image.to_owned(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        networks: vec!["none".to_owned()],
        cap_drop: vec!["ALL".to_owned()],
        security_opt: vec!["no-new-privileges".to_owned()],
        read_only: true,
        mounts: vec![tmpfs()],
        pids: Some(PIDS),
        // It runs already: this very image.
        pull: PullPolicy::Never,
        ..ContainerSpec::default()
    }
}

fn tmpfs() -> Mount {
    Mount {
        source: MountSource::Tmpfs("mode=1777".to_owned()),
        target: "/tmp".into(),
        read_only: false,
        options: vec![],
        create: false,
    }
}

/// Gives a container the engine: its socket, or the address of a proxy and a network to reach it.
fn give_engine(spec: &mut ContainerSpec, settings: &Settings, installation: &Installation) {
    match remote(settings) {
        Some(host) => {
            spec.env.0.insert("DOCKER_HOST".to_owned(), host.to_owned());
            spec.networks = vec!["bridge".to_owned()];
        }
        None => spec.mounts.push(Mount::bind(&installation.socket, SOCKET, false)),
    }
}

/// The engine's address when it is no socket of this host.
fn remote(settings: &Settings) -> Option<&str> {
    settings.docker_host.as_deref().filter(|host| !host.starts_with("unix:") && !host.starts_with('/'))
}

/// The holder of an exec. It is told what it needs to have the command signalled.
fn holder(exec: &ExecSpec, job: Option<&Job>, settings: &Settings, installation: &Installation) -> ContainerSpec {
    let mut spec = hardened(installation, &["job", "exec"]);
    let grace = job.map_or(settings.grace, |job| job.policy.grace);
    for (name, value) in [
        ("TENDER_EXEC", json(exec)),
        ("TENDER_STACK", settings.project.clone()),
        ("TENDER_INSTANCE", installation.instance.clone()),
        ("TENDER_IMAGE", installation.image.clone()),
        ("TENDER_GRACE", grace.as_millis().to_string()),
    ] {
        spec.env.0.insert(name.to_owned(), value);
    }
    give_engine(&mut spec, settings, installation);
    spec
}

fn requester(http: &Http, settings: &Settings, installation: &Installation) -> ContainerSpec {
    let mut spec = hardened(installation, &["job", "http"]);
    spec.networks = if http.networks.is_empty() { vec!["bridge".to_owned()] } else { http.networks.clone() };
    if let Some(path) = &settings.ca_file {
        spec.mounts.push(Mount::same_path(path, true));
        // It may belong to others, and the mount is read-only.
        spec.cap_add = vec!["DAC_OVERRIDE".to_owned()];
    }
    let mut proxies = settings.proxies.clone();
    if !http.networks.is_empty() && is_a_name_of_the_network(&http.url) {
        proxies.0.clear();
    }
    let order = Order { request: http.clone(), proxies, ca_file: settings.ca_file.clone() };
    spec.env.0.insert("TENDER_HTTP".to_owned(), json(&order));
    spec
}

/// Whether the host of an address is a name without a dot, such as a service's: no proxy knows it.
fn is_a_name_of_the_network(url: &str) -> bool {
    let place = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = place.split(['/', '?', '#']).next().unwrap_or_default();
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    let host = host.split(':').next().unwrap_or_default();
    !host.is_empty() && !host.contains(['.', '['])
}

fn built_in(
    builtin: Builtin,
    job: Option<&Job>,
    settings: &Settings,
    installation: &Installation,
    paths: &[PathBuf],
) -> ContainerSpec {
    let needs = builtin.needs();
    let mut spec = hardened(installation, &["job", builtin.name()]);
    spec.cap_add = needs.capabilities.iter().map(|cap| (*cap).to_owned()).collect();
    if needs.network {
        spec.networks = vec!["bridge".to_owned()];
    }
    if needs.socket {
        give_engine(&mut spec, settings, installation);
    }
    let mut mounts = Mounts::default();
    if needs.checkouts {
        mounts.add(&settings.compose_dir, false);
        settings.checkouts.iter().chain(paths).for_each(|path| mounts.add(path, false));
        settings.docker_config.iter().chain(&settings.ca_file).for_each(|path| mounts.add(path, true));
    }
    if needs.keys {
        settings.key_dir.iter().for_each(|path| mounts.add(path, true));
    }
    if needs.logs {
        mounts.add(&settings.log_dir, false);
    }
    spec.mounts.extend(mounts.least());
    // Without the compose dir there is nothing to do, without a log dir nowhere to write; what else
    // was named and is not there is reported by those who look for it.
    let needed = |path: &PathBuf| settings.compose_dir.starts_with(path) || settings.log_dir.starts_with(path);
    spec.optional = mounts.0.into_keys().filter(|path| !needed(path)).collect();
    if needs.state {
        spec.mounts.push(Mount {
            source: installation.state.clone(),
            target: STATE.into(),
            read_only: false,
            options: vec![],
            create: false,
        });
    }
    let inside =
        Settings { state_dir: STATE.into(), docker_host: remote(settings).map(str::to_owned), ..settings.clone() };
    spec.env.0.insert("TENDER_SETTINGS".to_owned(), json(&inside));
    spec.env.0.insert("TENDER_INSTANCE".to_owned(), installation.instance.clone());
    if let Some(extra) = job.and_then(|job| job.extra.as_deref()) {
        spec.add_extra(extra);
    }
    if let Some(job) = job {
        spec.env.0.insert("TENDER_JOB".to_owned(), job.name.to_string());
    }
    spec
}

/// Host paths at their own place.
#[derive(Default)]
struct Mounts(BTreeMap<PathBuf, bool>);

impl Mounts {
    /// Adds a path; writable wins over read-only.
    fn add(&mut self, path: &Path, read_only: bool) {
        // The root of the host is never handed over, whatever the configuration says.
        if path.is_absolute() && path.parent().is_some() {
            *self.0.entry(path.to_owned()).or_insert(read_only) &= read_only;
        }
    }

    /// The mounts, without those that another one of the same kind covers. A read-only path below
    /// a writable one keeps its own mount.
    fn least(&self) -> Vec<Mount> {
        let covered = |path: &Path, read_only: bool| {
            let above = path.ancestors().skip(1).find_map(|above| self.0.get(above));
            above.is_some_and(|other| *other == read_only)
        };
        let needed = self.0.iter().filter(|(path, read_only)| !covered(path, **read_only));
        needed.map(|(path, read_only)| Mount::same_path(path, *read_only)).collect()
    }
}

/// These types always have a JSON form: their keys are text and they hold no foreign code.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::ExecTarget;

    fn settings() -> Settings {
        Settings {
            env_local: "/srv/private/env.local".into(),
            checkouts: vec!["/srv/stack".into(), "/srv/private".into()],
            key_dir: Some("/srv/stack/keys".into()),
            ca_file: Some("/srv/ca/ours.pem".into()),
            docker_host: Some("unix:///run/user/docker.sock".to_owned()),
            ..Settings::defaults(Path::new("/srv/stack/birdhouse"))
        }
    }

    fn installation() -> Installation {
        Installation {
            image: "sha256:abc".to_owned(),
            socket: "/run/user/docker.sock".into(),
            state: MountSource::Volume("tender-state".to_owned()),
            instance: "i1".to_owned(),
        }
    }

    #[test]
    fn jobs_get_the_proxies_where_the_setting_says_so() {
        let proxies = [("HTTPS_PROXY", "http://me:pw@p:1"), ("NO_PROXY", "x")];
        let proxies = Environment(proxies.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let env = |job_proxy: bool| {
            let own = Environment([("NO_PROXY".to_owned(), "own".to_owned())].into());
            let action = Action::Run(Box::new(ContainerSpec { env: own, ..ContainerSpec::default() }));
            let settings = Settings { job_proxy, proxies: proxies.clone(), ..settings() };
            container_for(&action, None, &settings, &installation(), &[]).env.0
        };
        assert_eq!(env(false).into_keys().collect::<Vec<_>>(), ["NO_PROXY"]);
        assert_eq!((env(true)["HTTPS_PROXY"].as_str(), env(true)["NO_PROXY"].as_str()), ("http://me:pw@p:1", "own"));
    }

    fn made(action: &Action, paths: &[&str]) -> ContainerSpec {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        container_for(action, None, &settings(), &installation(), &paths)
    }

    fn mounts(spec: &ContainerSpec) -> Vec<String> {
        let source = |source: &MountSource| match source {
            MountSource::Bind(path) => path.display().to_string(),
            MountSource::Volume(name) => format!("volume {name}"),
            MountSource::Anonymous => "anonymous".to_owned(),
            MountSource::Tmpfs(_) => "memory".to_owned(),
        };
        assert!(spec.mounts.iter().all(|m| !m.create), "a missing path of the host is never created");
        spec.mounts
            .iter()
            .map(|m| format!("{} at {}{}", source(&m.source), m.target.display(), if m.read_only { " ro" } else { "" }))
            .collect()
    }

    #[test]
    fn built_ins_get_what_they_need_and_nothing_else() {
        let rotate = made(&Action::Builtin(Builtin::Logrotate), &["/srv/elsewhere"]);
        assert_eq!(
            mounts(&rotate),
            ["memory at /tmp", "/var/log/birdhouse at /var/log/birdhouse", "volume tender-state at /var/lib/tender"]
        );
        assert_eq!((rotate.networks.clone(), rotate.image.as_str()), (vec!["none".to_owned()], "sha256:abc"));
        let deploy = made(&Action::Builtin(Builtin::Autodeploy), &["/srv/stack/inside", "/srv/elsewhere", "/"]);
        assert_eq!(
            mounts(&deploy),
            [
                "memory at /tmp",
                "/run/user/docker.sock at /var/run/docker.sock",
                "/srv/ca/ours.pem at /srv/ca/ours.pem ro",
                "/srv/elsewhere at /srv/elsewhere",
                "/srv/private at /srv/private",
                "/srv/stack at /srv/stack",
                "/srv/stack/keys at /srv/stack/keys ro",
                "/var/log/birdhouse at /var/log/birdhouse",
                "volume tender-state at /var/lib/tender",
            ]
        );
        let optional: Vec<PathBuf> =
            ["/srv/ca/ours.pem", "/srv/elsewhere", "/srv/private", "/srv/stack/inside", "/srv/stack/keys"]
                .map(PathBuf::from)
                .into();
        assert_eq!(deploy.optional, optional);
        assert!(rotate.optional.is_empty());
        let inside: Settings = serde_json::from_str(&deploy.env.0["TENDER_SETTINGS"]).unwrap();
        assert_eq!(inside.docker_host, None, "the socket lies at its usual place inside");
        for builtin in Builtin::ALL {
            let spec = made(&Action::Builtin(*builtin), &[]);
            assert!(spec.read_only && !spec.privileged && spec.labels.is_empty(), "{builtin}");
            // The stack's own values are read anew: one in here would outlive its change.
            assert!(spec.env.0.keys().all(|name| name.starts_with("TENDER_")), "{builtin}: {:?}", spec.env);
            assert_eq!(spec.cap_drop, ["ALL"], "{builtin}");
            assert_eq!(spec.cap_add, builtin.needs().capabilities, "{builtin}");
            assert_eq!(spec.security_opt, ["no-new-privileges"], "{builtin}");
            assert_eq!(spec.command, ["job", builtin.name()], "{builtin}");
        }
    }

    #[test]
    fn a_remote_engine_is_reached_by_its_address() {
        let remote = Settings { docker_host: Some("tcp://proxy:2375".to_owned()), ..settings() };
        let spec = container_for(&Action::Builtin(Builtin::Autodeploy), None, &remote, &installation(), &[]);
        assert_eq!(spec.env.0["DOCKER_HOST"], "tcp://proxy:2375");
        assert!(!mounts(&spec).iter().any(|mount| mount.contains("docker.sock")));
    }

    #[test]
    fn a_holder_gets_the_command_and_the_socket() {
        let exec = ExecSpec {
            target: ExecTarget::Service("web".to_owned()),
            command: vec!["echo".to_owned(), "a b".to_owned()],
            env: Environment::default(),
            user: None,
            workdir: None,
            privileged: false,
            direct: false,
        };
        let extra = Environment([("ONCE".to_owned(), "1".to_owned())].into());
        let spec = made(&with_env(&Action::Exec(Box::new(exec.clone())), &extra), &[]);
        assert_eq!(mounts(&spec), ["memory at /tmp", "/run/user/docker.sock at /var/run/docker.sock"]);
        assert_eq!(spec.networks, ["none"]);
        let told: ExecSpec = serde_json::from_str(&spec.env.0["TENDER_EXEC"]).unwrap();
        assert_eq!(told, ExecSpec { env: extra, ..exec });
        assert_eq!((spec.env.0["TENDER_GRACE"].as_str(), spec.env.0["TENDER_IMAGE"].as_str()), ("10000", "sha256:abc"));
    }

    #[test]
    fn a_request_goes_where_it_is_told_and_through_the_proxies() {
        let proxies = Environment([("HTTP_PROXY".to_owned(), "http://p:1".to_owned())].into());
        let made = |url: &str, networks: &[&str]| {
            let http = Http {
                url: url.to_owned(),
                method: "GET".to_owned(),
                headers: Environment::default(),
                body: None,
                status: vec![],
                timeout: None,
                networks: networks.iter().map(|n| (*n).to_owned()).collect(),
            };
            let settings = Settings { proxies: proxies.clone(), ..settings() };
            let spec = container_for(&Action::Http(Box::new(http)), None, &settings, &installation(), &[]);
            let order: Order = serde_json::from_str(&spec.env.0["TENDER_HTTP"]).unwrap();
            assert_eq!((order.ca_file, order.request.url.as_str()), (settings.ca_file, url));
            assert!(mounts(&spec).contains(&"/srv/ca/ours.pem at /srv/ca/ours.pem ro".to_owned()));
            (spec.networks, !order.proxies.0.is_empty())
        };
        for (url, networks, expected) in [
            ("http://web:8000/x", vec![], (vec!["bridge".to_owned()], true)),
            ("http://me:pw@web:8000?x", vec!["p_default"], (vec!["p_default".to_owned()], false)),
            ("https://a.example.org/web", vec!["p_default"], (vec!["p_default".to_owned()], true)),
            ("http://[::1]:80/", vec!["p_default"], (vec!["p_default".to_owned()], true)),
        ] {
            assert_eq!(made(url, &networks), expected, "{url}");
        }
    }

    #[test]
    fn a_users_container_stays_as_it_was_written() {
        let spec = ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() };
        let run = |spec: &ContainerSpec| made(&Action::Run(Box::new(spec.clone())), &["/srv"]);
        assert_eq!(run(&spec), ContainerSpec { pids: Some(4096), ..spec.clone() });
        let own = ContainerSpec { pids: Some(7), ..spec };
        assert_eq!(run(&own), own);
    }
}
