//! The real compose program on a real engine. Needs Docker, `/bin/busybox` and compose (v2, or
//! docker-compose 1.29; another one by `TENDER_TEST_COMPOSE`); without them it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod busybox;

use std::path::Path;

use busybox::{Image, docker};
use tender::compose::{Compose, Labelled, Repair, label, leftovers};
use tender::engine::docker::Docker;
use tender::engine::{Host, Life, Runs, Seen};
use tender::secret::Environment;

struct Project {
    compose: Compose,
    docker: Docker,
    /// Removed after the project's own image, which is made of it.
    _image: Image,
    _dir: tempfile::TempDir,
}

impl Project {
    fn new(name: &str) -> Self {
        let image = Image::new();
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
        write(
            "docker-compose.yml",
            "services:\n  web:\n    image: ${IMAGE:?}\n    command: [sh, -c, \"echo $$HOME; exec sleep 1000\"]\n    \
             network_mode: none\n    init: true\n    volumes: [./conf:/conf:ro]\n",
        );
        write(
            "more.yml",
            "services:\n  built:\n    build: .\n    image: ${BUILT:?}\n    command: [sleep, \"1000\"]\n    \
             network_mode: none\n    init: true\n",
        );
        write("Dockerfile", &format!("FROM {}\nLABEL built=yes\n", image.name()));
        write("conf", "1");
        let project = format!("tender-test-{}-{name}", std::process::id());
        let program = match std::env::var("TENDER_TEST_COMPOSE") {
            Ok(program) => program.split(' ').map(str::to_owned).collect(),
            Err(_) => Compose::find_program(),
        };
        let env = [("IMAGE", image.name().to_owned()), ("BUILT", format!("{project}:built"))];
        let compose = Compose {
            program,
            project,
            files: ["docker-compose.yml", "more.yml"].map(|f| dir.path().join(f)).to_vec(),
            dir: dir.path().to_owned(),
            env: Environment(env.map(|(k, v)| (k.to_owned(), v)).into()),
            docker_config: None,
        };
        Self { compose, docker: Docker::connect(None).unwrap(), _image: image, _dir: dir }
    }

    async fn up(&self, services: &[&str]) {
        let services: Vec<String> = services.iter().map(|s| (*s).to_owned()).collect();
        let mut lines = Vec::new();
        let done =
            self.compose.up(&services, &["--no-build".to_owned()], &mut |line| lines.push(line.to_owned())).await;
        done.unwrap_or_else(|error| panic!("{error:#}\n{}", lines.join("\n")));
    }

    async fn seen(&self, service: &str) -> Vec<Seen> {
        let mut all = self.docker.project(&self.compose.project).await.unwrap();
        all.retain(|seen| label::service_of(&seen.labels) == Some(service));
        all
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let found = docker(&["ps", "-aq", "--filter", &format!("label={}={}", label::PROJECT, self.compose.project)]);
        if !found.is_empty() {
            docker(&[&["rm", "-fv"][..], &found.lines().collect::<Vec<_>>()].concat());
        }
        let built = format!("{}:built", self.compose.project);
        if !docker(&["images", "-q", &built]).is_empty() {
            docker(&["rmi", &built]);
        }
    }
}

#[tokio::test]
async fn a_project_comes_up_as_its_model_says() {
    let project = Project::new("up");
    let compose = &project.compose;
    assert!(compose.version().await.unwrap().starts_with(['1', '2', '5']));
    // First, because 1.29 takes the id of the image into the hash.
    compose.build(&["built".to_owned()], &mut |_| {}).await.unwrap();
    let model = compose.model().await.unwrap();
    let web = &model.services["web"];
    assert_eq!(web.image.as_deref(), Some(compose.env.0["IMAGE"].as_str()));
    assert_eq!(web.binds[0].source, compose.dir.join("conf"));
    assert_eq!(model.services["built"].build.as_ref().unwrap().context, compose.dir);

    project.up(&[]).await;
    for service in ["web", "built"] {
        let seen = project.seen(service).await.pop().unwrap();
        assert_eq!(seen.life, Life::Running);
        assert_eq!(label::hash_of(&seen.labels), model.services[service].config_hash.as_deref(), "{service}");
        assert_eq!((label::number_of(&seen.labels), label::is_oneoff(&seen.labels)), (Some(1), false));
    }
    let before = project.seen("web").await;
    project.up(&["web"]).await;
    assert_eq!(project.seen("web").await, before, "nothing changed, nothing was done");
}

#[tokio::test]
async fn a_variable_that_must_be_set_is_named() {
    let project = Project::new("unset");
    let compose = Compose { env: Environment::default(), ..project.compose.clone() };
    let error = format!("{:#}", compose.model().await.unwrap_err());
    assert!(error.starts_with("compose refuses the configuration") && error.contains("IMAGE"), "{error}");
    let error = format!("{:#}", compose.up(&[], &[], &mut |_| {}).await.unwrap_err());
    assert!(error.contains("IMAGE"), "{error}");
    assert!(Path::new(&compose.dir).exists());
}

#[tokio::test]
async fn what_an_interrupted_recreate_leaves_is_repaired() {
    let project = Project::new("left");
    project.up(&["web"]).await;
    let web = project.seen("web").await.pop().unwrap();
    let name = format!("{}_{}", &web.id[..12], web.name);
    project.docker.rename(&web.id, &name).await.unwrap();

    let all = project.docker.project(&project.compose.project).await.unwrap();
    let all: Vec<Labelled> = all.iter().map(|s| Labelled { id: &s.id, name: &s.name, labels: &s.labels }).collect();
    let found = leftovers(&all);
    assert_eq!(found.len(), 1);
    let Repair::Rename(wanted) = &found[0].repair else { panic!("{found:?}") };
    project.docker.rename(&found[0].id, wanted).await.unwrap();
    assert_eq!(project.docker.look(&web.name).await.unwrap().unwrap().id, web.id);
    project.up(&["web"]).await;
    assert_eq!(project.seen("web").await.len(), 1);
}
