//! A one-off container of a service, from what `config` printed: its own image, environment,
//! networks and volumes; nothing that belongs to the service's place in the stack (ports, names,
//! aliases, addresses, restart policy, health check).

mod keys;
mod limits;
mod mounts;
mod networks;
mod values;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::keys::Keys;
use super::model::{entries, list, pairs, text};
use crate::job::{ContainerSpec, PullPolicy, ServiceRun};
use crate::secret::Environment;

/// Prefix of what stands for a container of a service, where an option names one.
pub const SERVICE: &str = "service:";

/// A project's configuration as `config` printed it. `Debug` does not show it: it holds secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resolved(Value);

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Resolved").field(&self.services().collect::<Vec<_>>()).finish()
    }
}

/// What a one-off container of a service is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct OneOff {
    /// The container, without an image. Where it names the container of another service (as a
    /// network, a namespace, or for its mounts) that is the service's name after [`SERVICE`].
    pub spec: ContainerSpec,
    /// Names that its image may have, in order.
    pub images: Vec<String>,
    /// Whether its image is built, and can be had in no other way.
    pub builds: bool,
    /// Named volumes that it mounts: compose makes them, the engine would make other ones.
    pub volumes: Vec<String>,
    /// What of the service it goes without.
    pub remarks: Vec<String>,
}

impl Resolved {
    /// Reads what `config` printed.
    ///
    /// # Errors
    /// When it is no YAML.
    pub fn parse(text: &str) -> Result<Self> {
        // A dollar is doubled in the output, so that it could be read by compose again.
        let text = text.replace("$$", "$");
        serde_saphyr::from_str(&text).map(Self).context("the output of compose config is no YAML")
    }

    /// The names of the services.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        entries(&self.0["services"]).map(|(name, _)| name.as_str())
    }

    /// The one-off container that a job asks for.
    ///
    /// # Errors
    /// When there is no such service, or when it cannot be had without something that it needs.
    pub fn one_off(&self, run: &ServiceRun, project: &str) -> Result<OneOff> {
        let Some(service) = self.0["services"][&run.service].as_object() else {
            let near = crate::nearest::nearest(&run.service, self.services());
            let near = near.map(|name| format!(", did you mean {name}")).unwrap_or_default();
            anyhow::bail!("the stack has no service {}{near}", run.service);
        };
        let mut keys = Keys::of(service);
        let mut spec = ContainerSpec {
            // Its own health check is the service's business.
            no_healthcheck: true,
            pull: if keys.text("pull_policy").as_deref() == Some("never") {
                PullPolicy::Never
            } else {
                PullPolicy::Missing
            },
            platform: keys.text("platform"),
            ..ContainerSpec::default()
        };
        self.program(&mut keys, run, &mut spec)?;
        for (name, value) in pairs(keys.take("labels")) {
            // Neither compose nor Tender may take it for the service.
            if !name.starts_with("com.docker.compose.") && !name.starts_with("tender.") {
                spec.labels.insert(name, value.unwrap_or_default());
            }
        }
        let volumes = mounts::read(&mut keys, &self.0, project, &mut spec)?;
        networks::read(&mut keys, &self.0, project, &mut spec)?;
        limits::read(&mut keys, &mut spec)?;
        let image = keys.text("image");
        let builds = !keys.take("build").is_null();
        let mut images: Vec<String> = image.into_iter().collect();
        if builds && images.is_empty() {
            // As v2 and 1.29 call it.
            images.extend(["-", "_"].map(|between| format!("{project}{between}{}", run.service)));
        }
        Ok(OneOff { spec, images, builds, volumes, remarks: keys.remarks() })
    }

    /// What runs in it: the service's own, where the job does not say otherwise.
    fn program(&self, keys: &mut Keys<'_>, run: &ServiceRun, spec: &mut ContainerSpec) -> Result<()> {
        let (entrypoint, command) = (words(keys.take("entrypoint"))?, words(keys.take("command"))?);
        spec.entrypoint = run.entrypoint.clone().or(entrypoint);
        spec.command = match (run.command.as_slice(), &run.entrypoint) {
            // Words for another entry point make no sense.
            ([], Some(_)) => Vec::new(),
            ([], None) => command.unwrap_or_default(),
            (said, _) => said.to_vec(),
        };
        // A variable without a value was not set where compose was called.
        let own = pairs(keys.take("environment")).into_iter().filter_map(|(name, value)| Some((name, value?)));
        spec.env = Environment(own.collect::<BTreeMap<_, _>>());
        spec.env.0.extend(run.env.0.clone());
        spec.user = run.user.clone().or(keys.text("user"));
        spec.workdir = run.workdir.clone().or(keys.text("working_dir"));
        spec.stop_signal = keys.text("stop_signal");
        Ok(())
    }
}

/// Words, or a text that is split as a shell does it. `None` where nothing is said.
fn words(value: &Value) -> Result<Option<Vec<String>>> {
    match value {
        Value::Null => Ok(None),
        Value::Array(_) => Ok(Some(strings(value))),
        _ => {
            let line = text(value).unwrap_or_default();
            shlex::split(&line).map(Some).context("the command of the service cannot be split into words")
        }
    }
}

/// A list of texts; a text alone is a list of one.
fn strings(value: &Value) -> Vec<String> {
    text(value).into_iter().chain(list(value).iter().filter_map(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::MountSource;

    /// Printed by 2.26.1 and by 1.29.2 for the same file.
    const V2: &str = include_str!("../../../tests/fixtures/compose/v2.yml");
    const V1: &str = include_str!("../../../tests/fixtures/compose/v1.yml");

    fn run(service: &str) -> ServiceRun {
        ServiceRun {
            service: service.to_owned(),
            command: vec![],
            entrypoint: None,
            env: Environment::default(),
            user: None,
            workdir: None,
        }
    }

    fn made(text: &str, run: &ServiceRun) -> OneOff {
        Resolved::parse(text).unwrap().one_off(run, "p").unwrap()
    }

    #[test]
    fn both_generations_come_to_the_same() {
        let (v2, v1) = (made(V2, &run("web")), made(V1, &run("web")));
        assert_eq!(v2.images, ["web:1"]);
        assert_eq!((v2.volumes.clone(), v2.builds, v2.remarks.clone()), (vec!["shared_data".to_owned()], true, vec![]));
        assert_eq!((v2.spec.networks.clone(), v2.spec.ports.len()), (vec!["p_front".to_owned()], 0));
        assert_eq!(v2.spec.env.0.get("PRICE").map(String::as_str), Some("5$"));
        assert!(!v2.spec.env.0.contains_key("EMPTY") && v2.spec.no_healthcheck);
        assert!(!v2.spec.labels.contains_key("tender.on-change"), "{:?}", v2.spec.labels);
        let places = |one: &OneOff| -> Vec<(String, bool)> {
            one.spec.mounts.iter().map(|m| (format!("{:?} {}", m.source, m.target.display()), m.read_only)).collect()
        };
        assert_eq!(places(&v2), places(&v1));
        assert_eq!(v2.spec.mounts[2].source, MountSource::Bind("/srv/stack/with$dollar".into()));
        assert_eq!((v1.spec.networks, v1.volumes, v1.images), (v2.spec.networks, v2.volumes, v2.images));
        assert_eq!(made(V1, &run("db")).spec.networks, made(V2, &run("db")).spec.networks);
        assert_eq!(made(V1, &run("cache")).images, ["p-cache", "p_cache"]);
    }

    #[test]
    fn what_the_job_says_wins() {
        let text = "services: {a: {image: i, command: [serve, '8000'], entrypoint: /run.sh, user: app, working_dir: /w,
                    environment: [A=1, B=2]}}";
        let own = made(text, &run("a")).spec;
        assert_eq!(
            (own.command.join(" "), own.entrypoint),
            ("serve 8000".to_owned(), Some(vec!["/run.sh".to_owned()]))
        );
        let env = Environment([("B".to_owned(), "3".to_owned())].into());
        let said = ServiceRun {
            command: vec!["migrate".into()],
            env,
            user: Some("0".into()),
            workdir: Some("/".into()),
            ..run("a")
        };
        let spec = made(text, &said).spec;
        assert_eq!(
            (spec.command.join(" ").as_str(), spec.entrypoint.unwrap().join(" ").as_str()),
            ("migrate", "/run.sh")
        );
        assert_eq!((spec.env.0["A"].as_str(), spec.env.0["B"].as_str()), ("1", "3"));
        assert_eq!((spec.user.as_deref(), spec.workdir.as_deref()), (Some("0"), Some("/")));
        let reset = ServiceRun { entrypoint: Some(vec![]), ..run("a") };
        assert_eq!((made(text, &reset).spec.command, made(text, &reset).spec.entrypoint), (vec![], Some(vec![])));
        let line = "services: {a: {image: i, command: \"sh -c 'a  b'\", entrypoint: []}}";
        assert_eq!(made(line, &run("a")).spec.command, ["sh", "-c", "a  b"]);
        assert_eq!(made(line, &run("a")).spec.entrypoint, Some(vec![]));
    }

    #[test]
    fn its_place_in_the_stack_stays_the_services_own() {
        let text =
            "services: {a: {image: i, container_name: n, hostname: h, domainname: d, mac_address: m, ports: ['80:80'],
            restart: always, tty: true, stdin_open: true, depends_on: {b: {condition: service_healthy}}, scale: 3,
            healthcheck: {test: [CMD, x]}, logging: {driver: syslog}, profiles: [x], x-own: 1, stop_grace_period: 1m,
            labels: {com.docker.compose.x: y, tender.job.a.schedule: z, own: w, traefik.enable: 'true'},
            networks: {front: {aliases: [b], ipv4_address: 10.0.0.9}},
            deploy: {replicas: 2, restart_policy: {condition: any}}}}";
        let one = made(text, &run("a"));
        let labels: Vec<&str> = one.spec.labels.keys().map(String::as_str).collect();
        assert_eq!(labels, ["own", "traefik.enable"]);
        let expected = ContainerSpec {
            networks: vec!["p_front".into()],
            labels: one.spec.labels.clone(),
            no_healthcheck: true,
            ..ContainerSpec::default()
        };
        assert_eq!((one.spec, one.remarks), (expected, vec![]));
    }

    #[test]
    fn what_it_goes_without_is_named() {
        let text = "services: {a: {image: i, annotations: {a: b}, links: ['db:database', 'db'], isolation: hyperv,
            post_start: [{command: x}], credential_spec: {}, use_api_socket: false}}";
        let said = made(text, &run("a")).remarks.join("\n");
        for word in ["annotations", "database", "isolation", "post_start"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!said.contains("credential_spec") && !said.contains("use_api_socket"), "{said}");
    }

    #[test]
    fn a_service_that_is_not_there_is_named() {
        let error = Resolved::parse(V2).unwrap().one_off(&run("wep"), "p").unwrap_err().to_string();
        assert_eq!(error, "the stack has no service wep, did you mean web");
        assert!(Resolved::parse("services: [").is_err());
        assert!(Resolved::parse("services: {}").unwrap().one_off(&run("a"), "p").is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = "services: {a: {environment: {X: hunter2}}}";
        assert_eq!(format!("{:?}", Resolved::parse(text).unwrap()), "Resolved([\"a\"])");
    }
}
