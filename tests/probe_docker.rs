//! The configuration probe in a container of a real engine: what it sees, round by round.
//! Needs Docker; without it it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tender::config::{Collected, Installation, Probe as _, ProbeRequest};
use tender::engine::docker::Docker;
use tender::job::{Mount, MountSource};
use tender::runner::probe::ContainerProbe;

/// An image of nothing; the program and what it needs are mounted from here.
struct Image(String);

impl Image {
    fn new(name: &str) -> Self {
        let name = format!("tender-test-{}:{name}", std::process::id());
        let mut tar = Command::new("tar").args(["-c", "-T", "/dev/null"]).stdout(Stdio::piped()).spawn().unwrap();
        let import = ["import", "-c", "ENTRYPOINT [\"/tender\"]", "-", &name];
        let imported = Command::new("docker").args(import).stdin(tar.stdout.take().unwrap()).output().unwrap();
        assert!(imported.status.success(), "docker import: {}", String::from_utf8_lossy(&imported.stderr));
        assert!(tar.wait().unwrap().success());
        Self(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", &self.0]).output();
    }
}

fn look(image: &Image, request: &ProbeRequest) -> Collected {
    let installation = Installation {
        image: image.0.clone(),
        socket: "/var/run/docker.sock".into(),
        state: MountSource::Volume("tender-test-state".to_owned()),
        instance: "test".to_owned(),
    };
    let mut program: Vec<Mount> = ["/bin", "/lib", "/lib64", "/usr"]
        .iter()
        .filter(|path| Path::new(path).exists())
        .map(|path| Mount::same_path(path, true))
        .collect();
    program.push(Mount {
        source: MountSource::Bind(PathBuf::from(env!("CARGO_BIN_EXE_tender"))),
        target: "/tender".into(),
        ..Mount::same_path("/bin", true)
    });
    let engine = Docker::connect(None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let probe = ContainerProbe::new(&engine, &installation, "test").with_overlays(program);
    runtime.block_on(probe.collect(request)).unwrap()
}

fn write(file: PathBuf, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn request(root: &Path, process_env: &[(&str, String)]) -> ProbeRequest {
    let env: BTreeMap<String, String> = process_env.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    ProbeRequest::new(root.join("stack/birdhouse"), root.join("stack/birdhouse/env.local"), env)
}

fn complaints(collected: &Collected) -> String {
    collected.problems.iter().map(|p| format!("{p}\n")).collect()
}

#[test]
fn every_hop_of_a_linked_env_local() {
    let image = Image::new("hops");
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    write(path("stack/birdhouse/docker-compose.yml"), "services: {}\n");
    write(path("stack/beside.env"), "export SHARED=1\n");
    fs::create_dir_all(path("stack/.git")).unwrap();
    fs::create_dir_all(path("private/.git")).unwrap();
    fs::create_dir_all(path("hop")).unwrap();
    write(
        path("private/site/env.d/env.local"),
        "export REAL=$BIRDHOUSE_LOCAL_ENV_REAL_DIR\n. $REAL/next.env\n. $REAL/../../common.env\n. $COMPOSE_DIR/../beside.env\n",
    );
    write(path("private/site/env.d/next.env"), "export NEXT=1\n");
    write(path("private/common.env"), "export COMMON=1\n");
    symlink("env.d", path("private/site/current")).unwrap();
    symlink("../private/site/current/env.local", path("hop/env.local")).unwrap();
    symlink(path("hop/env.local"), path("stack/birdhouse/env.local")).unwrap();

    let collected = look(&image, &request(root.path(), &[]));
    assert_eq!(complaints(&collected), "");
    assert!(collected.complete);
    for (name, value) in
        [("NEXT", "1"), ("COMMON", "1"), ("SHARED", "1"), ("REAL", path("private/site/env.d").to_str().unwrap())]
    {
        assert_eq!(collected.values.get(name).map(|g| g.value.lossy()).as_deref(), Some(value), "{name}");
    }
    assert_eq!(collected.private, Some(path("private")));
}

#[test]
fn a_file_outside_of_what_it_sees() {
    let image = Image::new("outside");
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let outside = elsewhere.path().join("site.env");
    write(outside.clone(), "export OUTSIDE=1\n");
    write(root.path().join("stack/birdhouse/docker-compose.yml"), "services: {}\n");
    write(root.path().join("stack/birdhouse/env.local"), &format!("export BEFORE=1\n. {}\n", outside.display()));

    let collected = look(&image, &request(root.path(), &[]));
    let said = complaints(&collected);
    assert!(said.contains("env.local:2: reads") && said.contains(outside.to_str().unwrap()), "{said}");
    assert!(said.contains("SCHEDULER_PROBE_DIRS"), "{said}");
    assert!(!collected.complete);
    assert_eq!(collected.values["BEFORE"].value.lossy(), "1");

    let dirs = elsewhere.path().display().to_string();
    let collected = look(&image, &request(root.path(), &[("SCHEDULER_PROBE_DIRS", dirs)]));
    assert_eq!(complaints(&collected), "");
    assert_eq!(collected.values["OUTSIDE"].value.lossy(), "1");
    assert!(collected.sourced.contains(&outside));
}
