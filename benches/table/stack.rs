//! A stack of any size, in the shape that operators give theirs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tender::config::{Installation, Loaded, ProbeRequest, collect_here, resolve};
use tender::job::MountSource;

/// A stack on disk, gone when dropped.
pub(crate) struct Stack {
    folder: tempfile::TempDir,
    pub(crate) jobs: usize,
}

impl Stack {
    /// Each conf dir has defaults with appended lists and delayed values, a compose file and `jobs`
    /// jobs, of the legacy and of the new form in turns.
    pub(crate) fn new(conf_dirs: usize, jobs: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let dir = folder.path();
        let mut list = String::new();
        for number in 0..conf_dirs {
            let name = format!("components/c{number:04}");
            writeln!(list, "  ./{name}")?;
            let component = dir.join(&name);
            fs::create_dir_all(&component)?;
            fs::write(component.join("default.env"), defaults(number))?;
            fs::write(
                component.join("docker-compose-extra.yml"),
                format!("services:\n  c{number:04}:\n    image: ${{C{number:04}_IMAGE}}\n    restart: always\n"),
            )?;
            fs::write(component.join("jobs.yml"), jobs_of(number, jobs))?;
        }
        fs::write(dir.join("docker-compose.yml"), "services:\n  web:\n    image: nginx\n")?;
        fs::write(
            dir.join("default.env"),
            "export DATA_ROOT=/data\nexport VARS='$DATA_ROOT'\nexport DELAYED_EVAL=''\n",
        )?;
        let env_local = format!(
            "export SITE=example.org\nexport DB_PASSWORD='not shown'\nexport EXTRA_CONF_DIRS=\"\n{list}\"\n\
             if [ -f ./more.env ]; then . ./more.env; fi\n"
        );
        fs::write(dir.join("env.local"), env_local)?;
        Ok(Self { folder, jobs: conf_dirs * jobs })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// What the scheduler asks for.
    pub(crate) fn request(&self) -> ProbeRequest {
        ProbeRequest::new(self.dir(), self.dir().join("env.local"), BTreeMap::new())
    }

    /// Reads all of it in this process, and checks that nothing was left out.
    pub(crate) fn load(&self) -> Loaded {
        let loaded = resolve(collect_here(&self.request()), &installation("tender:latest"));
        self.check(&loaded);
        loaded
    }

    /// Measuring a failure would be fast.
    pub(crate) fn check(&self, loaded: &Loaded) {
        let own = loaded.jobs.iter().filter(|job| job.name.as_str().starts_with("job-")).count();
        assert!(own == self.jobs && loaded.complete, "{own} of {} jobs: {:#?}", self.jobs, loaded.problems);
    }
}

/// An installation with this image, as the scheduler finds its own.
pub(crate) fn installation(image: &str) -> Installation {
    Installation {
        image: image.to_owned(),
        socket: PathBuf::from("/var/run/docker.sock"),
        state: MountSource::Volume("tender-bench-state".to_owned()),
        instance: "bench".to_owned(),
    }
}

fn defaults(number: usize) -> String {
    format!(
        "export C{number:04}_VERSION=1.{number}\n\
         export C{number:04}_IMAGE='example/c{number:04}:${{C{number:04}_VERSION}}'\n\
         export C{number:04}_DATA='${{DATA_ROOT}}/c{number:04}'\n\
         export DELAYED_EVAL=\"\n  $DELAYED_EVAL\n  C{number:04}_IMAGE\n\"\n\
         export VARS=\"\n  $VARS\n  \\$C{number:04}_IMAGE\n  \\$C{number:04}_DATA\n\"\n"
    )
}

fn jobs_of(dir: usize, jobs: usize) -> String {
    let mut text = String::new();
    for job in 0..jobs {
        let name = format!("job-{dir:04}-{job:04}");
        let minute = job % 60;
        text += &if job % 2 == 0 {
            format!(
                "- name: {name}\n  comment: a job of the legacy form\n  schedule: '{minute} 4 * * 1-5'\n  \
                 image: alpine:3.21\n  command: sh -c 'echo \"$HOME\"' --data ${{C{dir:04}_DATA}} > /logs/{name}.log\n  \
                 dockerargs: >-\n    --rm --name {name}\n    --volume ${{C{dir:04}_DATA}}:/data:rw\n    \
                 --volume /var/log/stack:/logs\n    --env SITE=${{SITE}} --memory 256m\n"
            )
        } else {
            format!(
                "- name: {name}\n  schedule: '@every 45m'\n  run: {{image: \"alpine:3.21\", command: [echo, \"{name}\"]}}\n  \
                 env: {{DATA: \"${{C{dir:04}_DATA}}\"}}\n  timeout: 10m\n  retries: {{max: 2}}\n  memory: 128M\n"
            )
        };
    }
    text
}
