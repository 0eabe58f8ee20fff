//! The container of a `host` job.

use crate::config::Installation;
use crate::job::{ContainerSpec, HostCommand, Mount, PullPolicy};

/// Where the host's file system lies inside the container of a `host` job.
const HOST: &str = "/host";

/// As cron runs a command: by the host's shell, in the namespaces of the host, as a user of the host.
/// Capabilities beyond those of a usual container it has with `privileged: true` alone.
pub(super) fn container(host: &HostCommand, installation: &Installation) -> ContainerSpec {
    let user = host.user.split(':').next().unwrap_or_default();
    let namespace = || Some("host".to_owned());
    let mut spec = ContainerSpec {
        image: installation.image.clone(),
        // In full, because the search path is that of cron.
        entrypoint: Some(vec!["/usr/sbin/chroot".to_owned()]),
        command: ["--userspec", &host.user, HOST, "/bin/sh", "-c", &host_script(host, user), "sh", &host.command]
            .into_iter()
            .map(str::to_owned)
            .chain(host.workdir.iter().map(|dir| dir.display().to_string()))
            .collect(),
        // Without propagation: an engine refuses any other kind where the host's root is private.
        mounts: vec![Mount::bind("/", HOST, false)],
        pid: namespace(),
        ipc: namespace(),
        uts: namespace(),
        networks: vec!["host".to_owned()],
        // What confines a container would confine the host's own programs.
        security_opt: ["apparmor=unconfined", "seccomp=unconfined"].map(str::to_owned).to_vec(),
        privileged: host.privileged,
        pull: PullPolicy::Never,
        ..ContainerSpec::default()
    };
    let cron = [("SHELL", "/bin/sh"), ("PATH", "/usr/bin:/bin"), ("LOGNAME", user), ("USER", user)];
    spec.env.0.extend(cron.map(|(name, value)| (name.to_owned(), value.to_owned())));
    spec.env.0.extend(host.env.0.clone());
    spec
}

/// Goes where cron would begin. Only the host's own shell knows the home of its user.
fn host_script(host: &HostCommand, user: &str) -> String {
    let home = if user.starts_with(|c: char| c.is_ascii_digit()) { "/".to_owned() } else { format!("~{user}") };
    let home = if host.env.0.contains_key("HOME") { String::new() } else { format!("HOME={home}; export HOME; ") };
    let folder = if host.workdir.is_some() { "cd \"$2\" || exit" } else { "cd \"$HOME\" 2>/dev/null || cd /" };
    format!("{home}{folder}; exec \"$SHELL\" -c \"$1\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::MountSource;

    fn host(user: &str) -> HostCommand {
        let (command, user) = ("echo hi > /tmp/x".to_owned(), user.to_owned());
        HostCommand { command, user, env: crate::secret::Environment::default(), workdir: None, privileged: false }
    }

    fn made(host: &HostCommand) -> ContainerSpec {
        let state = MountSource::Anonymous;
        container(host, &Installation { image: "own".into(), socket: "/s".into(), state, instance: "i".into() })
    }

    #[test]
    fn as_cron_would_run_it() {
        let spec = made(&host("alice:staff"));
        assert_eq!(spec.entrypoint, Some(vec!["/usr/sbin/chroot".to_owned()]));
        assert_eq!(spec.command[..5], ["--userspec", "alice:staff", "/host", "/bin/sh", "-c"]);
        assert_eq!(spec.command[6..], ["sh", "echo hi > /tmp/x"]);
        let env: Vec<String> = spec.env.0.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(env, ["LOGNAME=alice", "PATH=/usr/bin:/bin", "SHELL=/bin/sh", "USER=alice"]);
        assert_eq!(spec.pid.as_deref(), Some("host"));
        assert!(spec.mounts[0].options.is_empty());
    }

    /// The script as every `/bin/sh` reads it: here with the root's home, which is the same everywhere.
    #[test]
    fn it_begins_in_the_home_of_its_user() {
        let mut with = host("root");
        with.env.0.insert("A".to_owned(), "b c".to_owned());
        for (workdir, expected) in [(None, "/root b c /root\n"), (Some("/usr"), "/usr b c /root\n")] {
            with.workdir = workdir.map(Into::into);
            "echo \"$PWD\" \"$A\" \"$HOME\"".clone_into(&mut with.command);
            let spec = made(&with);
            let words = &spec.command[4..];
            let out = std::process::Command::new("/bin/sh").env_clear().envs(&spec.env.0).args(words).output().unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), expected, "{words:?}");
        }
    }
}
