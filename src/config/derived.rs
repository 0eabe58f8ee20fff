//! The variables that reading begins with: those that a stack's own wrapper derives, and those of
//! the process.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::aliases;
use super::probe::ProbeRequest;
use super::shell_dump::{Variables, is_of_the_shell};
use super::words::is_name;

/// What is known before any file is read.
pub struct Beginning {
    /// All variables.
    pub variables: Variables,
    /// Where each of them comes from.
    pub sources: BTreeMap<String, String>,
    /// What outranks all files: the process environment and what follows from the request.
    pub firm: BTreeMap<String, (Vec<u8>, &'static str)>,
}

impl Beginning {
    /// What follows from a request.
    pub fn of(request: &ProbeRequest) -> Self {
        let mut variables = Variables::new();
        let mut sources = BTreeMap::new();
        let mut firm = BTreeMap::new();
        for (name, value) in
            [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/"), ("USER", "root")]
        {
            variables.insert(name.to_owned(), value.as_bytes().to_vec());
        }
        let derived = derived(request);
        for (name, value) in &derived.weak {
            variables.insert((*name).to_owned(), value.clone());
        }
        sources.extend(variables.keys().map(|name| (name.clone(), "derived".to_owned())));
        for (name, value) in &request.process_env {
            // The name of the scheduler's own container is nobody's setting.
            if name != "HOSTNAME" && !is_of_the_shell(name) && is_name(name) {
                firm.insert(name.clone(), (value.as_bytes().to_vec(), "environment"));
            }
        }
        for (name, value) in derived.firm {
            firm.insert(name.to_owned(), (value, "derived"));
        }
        for (name, (value, source)) in &firm {
            variables.insert(name.clone(), value.clone());
            sources.insert(name.clone(), (*source).to_owned());
        }
        Self { variables, sources, firm }
    }
}

struct Derived {
    /// Set before anything is read.
    weak: Vec<(&'static str, Vec<u8>)>,
    /// Beats all files.
    firm: Vec<(&'static str, Vec<u8>)>,
}

fn derived(request: &ProbeRequest) -> Derived {
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let dir = &request.compose_dir;
    let real = request.env_local.canonicalize().unwrap_or_else(|_| request.env_local.clone());
    let wrapper = ["birdhouse-compose.sh", "pavics-compose.sh"].map(|name| dir.join(name));
    let wrapper = wrapper.iter().find(|w| w.exists()).unwrap_or(&wrapper[0]);
    Derived {
        weak: vec![
            ("BIRDHOUSE_COMPOSE", bytes(wrapper)),
            ("BIRDHOUSE_EXE", bytes(&dir.join("../bin/birdhouse"))),
            // The stack's own programs have another default.
            (aliases::COMPATIBLE, b"True".to_vec()),
        ],
        firm: vec![
            ("COMPOSE_DIR", bytes(dir)),
            ("BIRDHOUSE_LOCAL_ENV", bytes(&request.env_local)),
            ("BIRDHOUSE_LOCAL_ENV_REAL_PATH", bytes(&real)),
            ("BIRDHOUSE_LOCAL_ENV_REAL_DIR", bytes(real.parent().unwrap_or(&real))),
        ],
    }
}
