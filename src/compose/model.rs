//! What `config` prints: the same model in the words of v2 and of 1.29.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// A project's configuration. Env files are in it as the environment that they give.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// Services that are active under the profiles in force (1.29 lists all).
    pub services: BTreeMap<String, Service>,
    /// Volumes: key → name on the engine, where it is said.
    pub volumes: BTreeMap<String, Option<String>>,
    /// Networks: key → name on the engine, where it is said.
    pub networks: BTreeMap<String, Option<String>>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Service {
    /// Image; `None` for one that is built and named by compose.
    pub image: Option<String>,
    /// How its image is built.
    pub build: Option<Build>,
    /// Hash of its configuration, as in the label of its containers.
    pub config_hash: Option<String>,
    /// `container_name`.
    pub container_name: Option<String>,
    /// Services that it depends on.
    pub depends_on: BTreeMap<String, Dependency>,
    /// Its health check.
    pub healthcheck: Probe,
    /// Restart policy as written; empty when not said, which is `no`.
    pub restart: String,
    /// `pull_policy`.
    pub pull_policy: Option<String>,
    /// Labels of its containers.
    pub labels: BTreeMap<String, String>,
    /// Environment; `None` for a variable without a value.
    pub environment: BTreeMap<String, Option<String>>,
    /// Paths of the host that are mounted.
    pub binds: Vec<Bind>,
    /// Keys of its named volumes.
    pub volumes: Vec<String>,
    /// Keys of its configs and secrets, as far as they name files of the host.
    pub files: Vec<PathBuf>,
    /// Profiles.
    pub profiles: Vec<String>,
}

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Folder or address of the context.
    pub context: PathBuf,
    /// Dockerfile, relative to the context.
    pub dockerfile: Option<PathBuf>,
}

/// What is waited for before a service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// That it has started.
    Started,
    /// That it is healthy.
    Healthy,
    /// That it has ended well.
    Completed,
}

/// A service's health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Probe {
    /// That of its image, if it has one.
    #[default]
    Image,
    /// None.
    Disabled,
    /// Its own; the engine's default where a setting is `None`.
    Own {
        /// Time between probes.
        interval: Option<Duration>,
        /// Time limit of a probe.
        timeout: Option<Duration>,
        /// Time in which failures do not count.
        start_period: Option<Duration>,
        /// Failures in a row that make it unhealthy.
        retries: Option<u32>,
    },
}

/// A path of the host that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Path on the host.
    pub source: PathBuf,
    /// Path inside.
    pub target: PathBuf,
    /// Not writable.
    pub read_only: bool,
}

impl Model {
    /// Reads what `config` printed.
    ///
    /// # Errors
    /// When it is no configuration: the key that is not understood.
    pub fn parse(text: &str) -> Result<Self> {
        // A dollar is doubled in the output, so that it could be read by compose again.
        let text = text.replace("$$", "$");
        let document: Value = serde_saphyr::from_str(&text).context("the output of compose config is no YAML")?;
        let files = files_of(&document);
        let mut services = BTreeMap::new();
        for (name, value) in entries(&document["services"]) {
            let service =
                service(value, &files).with_context(|| format!("in the output of compose config: service {name}"))?;
            services.insert(name.clone(), service);
        }
        Ok(Self { services, volumes: names(&document["volumes"]), networks: names(&document["networks"]) })
    }
}

/// Reads what `config --hash "*"` printed: a service and its hash a line.
pub(super) fn hashes(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| line.trim().split_once(' ').map(|(s, h)| (s.to_owned(), h.trim().to_owned()));
    text.lines().filter_map(pair).collect()
}

fn service(value: &Value, files: &BTreeMap<String, PathBuf>) -> Result<Service> {
    let mut service = Service {
        image: text(&value["image"]),
        build: build(&value["build"]),
        container_name: text(&value["container_name"]),
        depends_on: depends_on(&value["depends_on"])?,
        healthcheck: probe(&value["healthcheck"])?,
        restart: text(&value["restart"]).unwrap_or_default(),
        pull_policy: text(&value["pull_policy"]),
        labels: pairs(&value["labels"]).into_iter().map(|(k, v)| (k, v.unwrap_or_default())).collect(),
        environment: pairs(&value["environment"]),
        profiles: list(&value["profiles"]).iter().filter_map(text).collect(),
        ..Service::default()
    };
    for volume in list(&value["volumes"]) {
        match mounted(volume) {
            Mounted::Bind(bind) => service.binds.push(bind),
            Mounted::Volume(name) => service.volumes.push(name),
            Mounted::Other => {}
        }
    }
    for kind in ["configs", "secrets"] {
        let named = list(&value[kind]).iter().filter_map(|v| text(v).or_else(|| text(&v["source"])));
        service.files.extend(named.filter_map(|name| files.get(&format!("{kind} {name}")).cloned()));
    }
    Ok(service)
}

/// The files behind the document's configs and secrets.
fn files_of(document: &Value) -> BTreeMap<String, PathBuf> {
    let of = |kind: &'static str| {
        let entries = entries(&document[kind]);
        entries.filter_map(move |(name, v)| Some((format!("{kind} {name}"), text(&v["file"])?.into())))
    };
    of("configs").chain(of("secrets")).collect()
}

fn build(value: &Value) -> Option<Build> {
    match value {
        Value::Null => None,
        Value::String(context) => Some(Build { context: context.into(), dockerfile: None }),
        _ => Some(Build {
            context: text(&value["context"]).unwrap_or_else(|| ".".to_owned()).into(),
            dockerfile: text(&value["dockerfile"]).map(Into::into),
        }),
    }
}

fn depends_on(value: &Value) -> Result<BTreeMap<String, Dependency>> {
    let mut found: BTreeMap<String, Dependency> =
        list(value).iter().filter_map(text).map(|name| (name, Dependency::Started)).collect();
    for (name, settings) in entries(value) {
        let condition = match text(&settings["condition"]).as_deref() {
            None | Some("service_started") => Dependency::Started,
            Some("service_healthy") => Dependency::Healthy,
            Some("service_completed_successfully") => Dependency::Completed,
            Some(other) => bail!("depends_on: {name}: condition {other:?} is not known"),
        };
        found.insert(name.clone(), condition);
    }
    Ok(found)
}

fn probe(value: &Value) -> Result<Probe> {
    if value.is_null() {
        return Ok(Probe::Image);
    }
    let none = |word: Option<&Value>| word.and_then(Value::as_str) == Some("NONE");
    if value["disable"].as_bool() == Some(true) || none(list(&value["test"]).first()) || none(value.get("test")) {
        return Ok(Probe::Disabled);
    }
    let time = |key: &str| time(&value[key]).with_context(|| format!("healthcheck: {key}"));
    let retries = text(&value["retries"]).map(|n| n.parse()).transpose().context("healthcheck: retries")?;
    Ok(Probe::Own {
        interval: time("interval")?,
        timeout: time("timeout")?,
        start_period: time("start_period")?,
        retries,
    })
}

enum Mounted {
    Bind(Bind),
    Volume(String),
    /// Anonymous, or in memory.
    Other,
}

fn mounted(value: &Value) -> Mounted {
    if let Some(short) = value.as_str() {
        let parts: Vec<&str> = short.splitn(3, ':').collect();
        let read_only = parts.get(2).is_some_and(|options| options.split(',').any(|o| o == "ro"));
        return match parts[..] {
            [source, target, ..] if source.starts_with('/') => {
                Mounted::Bind(Bind { source: source.into(), target: target.into(), read_only })
            }
            [name, _, ..] => Mounted::Volume(name.to_owned()),
            _ => Mounted::Other,
        };
    }
    match (value["type"].as_str(), text(&value["source"])) {
        (Some("bind"), Some(source)) => Mounted::Bind(Bind {
            source: source.into(),
            target: text(&value["target"]).unwrap_or_default().into(),
            read_only: value["read_only"].as_bool().unwrap_or(false),
        }),
        (Some("volume"), Some(name)) => Mounted::Volume(name),
        _ => Mounted::Other,
    }
}

fn names(value: &Value) -> BTreeMap<String, Option<String>> {
    let name = |v: &Value| text(&v["name"]).or_else(|| text(&v["external"]["name"]));
    entries(value).map(|(key, v)| (key.clone(), name(v))).collect()
}

/// `KEY: value` or `- KEY=value`.
pub(super) fn pairs(value: &Value) -> BTreeMap<String, Option<String>> {
    let listed = list(value).iter().filter_map(text).map(|line| match line.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (line, None),
    });
    entries(value).map(|(k, v)| (k.clone(), text(v))).chain(listed).collect()
}

/// A duration as Go writes it (`1m30s`), or nanoseconds.
fn time(value: &Value) -> Result<Option<Duration>> {
    if let Some(ns) = value.as_u64() {
        return Ok(Some(Duration::from_nanos(ns)));
    }
    let Some(text) = text(value) else { return Ok(None) };
    let wrong = || format!("{text:?} is no duration such as 1m30s");
    let (mut rest, mut seconds) = (text.as_str(), 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').with_context(wrong)?;
        let number: f64 = rest[..digits].parse().with_context(wrong)?;
        rest = &rest[digits..];
        let unit = &rest[..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len())];
        seconds += number
            * match unit {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => bail!(wrong()),
            };
        rest = &rest[unit.len()..];
    }
    Ok(Some(Duration::try_from_secs_f64(seconds).with_context(wrong)?))
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by 2.26.1 and by 1.29.2 for the same file.
    const V2: &str = include_str!("../../tests/fixtures/compose/v2.yml");
    const V1: &str = include_str!("../../tests/fixtures/compose/v1.yml");

    #[test]
    fn both_generations_say_the_same() {
        for (version, text) in [("v2", V2), ("1.29", V1)] {
            let model = Model::parse(text).unwrap();
            let web = &model.services["web"];
            assert_eq!(web.image.as_deref(), Some("web:1"), "{version}");
            let build = Build { context: "/srv/stack/web".into(), dockerfile: Some("Dockerfile.prod".into()) };
            assert_eq!(web.build, Some(build), "{version}");
            let depends_on =
                [("cache", Dependency::Started), ("db", Dependency::Healthy)].map(|(k, v)| (k.to_owned(), v));
            assert_eq!(web.depends_on, depends_on.into(), "{version}");
            let bind = |source: &str, target: &str, read_only| Bind {
                source: format!("/srv/stack/{source}").into(),
                target: target.into(),
                read_only,
            };
            let binds = [bind("conf/nginx.conf", "/etc/nginx.conf", true), bind("with$dollar", "/d", false)];
            assert_eq!(web.binds, binds, "{version}");
            assert_eq!(web.volumes, ["data"], "{version}");
            assert_eq!(web.labels["tender.on-change"], "signal:HUP", "{version}");
            assert_eq!(web.environment["PRICE"].as_deref(), Some("5$"), "{version}");
            assert_eq!(web.environment["EMPTY"], None, "{version}");
            assert_eq!((web.restart.as_str(), model.services["db"].restart.as_str()), ("unless-stopped", ""));
            let own = Probe::Own {
                interval: Some(Duration::from_secs(90)),
                timeout: Some(Duration::from_secs(10)),
                start_period: Some(Duration::from_millis(500)),
                retries: Some(5),
            };
            assert_eq!(model.services["db"].healthcheck, own, "{version}");
            assert_eq!(model.services["cache"].healthcheck, Probe::Disabled, "{version}");
            assert_eq!(web.healthcheck, Probe::Image, "{version}");
            assert_eq!(model.volumes["data"].as_deref(), Some("shared_data"), "{version}");
            assert!(model.networks.contains_key("front"), "{version}");
        }
        assert_eq!(Model::parse(V1).unwrap().services["tool"].profiles, ["tools"]);
    }

    #[test]
    fn files_of_configs_and_secrets() {
        let model = Model::parse(
            "services: {a: {configs: [{source: c, target: /c}], secrets: [s, none]}}\n\
             configs: {c: {file: /srv/c}}\nsecrets: {s: {file: /srv/s}, none: {environment: X}}",
        );
        assert_eq!(model.unwrap().services["a"].files, [PathBuf::from("/srv/c"), "/srv/s".into()]);
    }

    #[test]
    fn durations() {
        let ms = |text: &str| time(&Value::from(text)).unwrap().unwrap().as_millis();
        assert_eq!((ms("90s"), ms("1m30s"), ms("1h0m0.5s"), ms("500ms")), (90_000, 90_000, 3_600_500, 500));
        assert_eq!(time(&Value::from(5_000_000)).unwrap().unwrap().as_millis(), 5);
        for wrong in ["5", "m", "1x", "-1s"] {
            assert!(time(&Value::from(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hashes_are_pairs() {
        let hashes = hashes("web 00ff\ndb  11ee\n\n");
        assert_eq!((hashes["web"].as_str(), hashes["db"].as_str(), hashes.len()), ("00ff", "11ee", 2));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let error = Model::parse("services: {web: {depends_on: {db: {condition: sometimes}}}}").unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("service web") && error.contains("sometimes"), "{error}");
        assert!(Model::parse("a: [").is_err());
    }
}
