//! `dockerargs`: the flags of `docker run` and `docker exec`, understood as the CLI does.

use std::path::Path;

use super::docker_flags::{Does, EXEC, FLAGS, Outside};
use super::wrong::{Wrong, choice};
use super::{expand::Lookup, values, words};
use crate::job::{ContainerSpec, PullPolicy};
use crate::nearest::nearest;
use crate::secret::shown;

/// What became of the flags.
#[derive(Debug, Default, PartialEq)]
pub struct Parsed {
    /// What they say about the container.
    pub spec: ContainerSpec,
    /// `--env-file`, in order.
    pub env_files: Vec<String>,
    /// `--use-api-socket`.
    pub socket: bool,
    /// What was left out.
    pub warnings: Vec<Flaw>,
    /// What cannot be.
    pub errors: Vec<Flaw>,
}

/// Something about one word.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaw {
    /// The word as it was read; may hold a secret.
    pub word: String,
    /// What about it.
    pub wrong: Wrong,
}

impl Flaw {
    /// Something about a word.
    pub fn new(word: &str, wrong: impl Into<Wrong>) -> Self {
        Self { word: word.to_owned(), wrong: wrong.into() }
    }
}

/// For which command the flags are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// `docker run`.
    Run,
    /// `docker exec`.
    Exec,
}

/// Reads a text of flags. Relative host paths are seen from `base`; `lookup` gives the values of
/// `--env NAME`.
pub fn parse(text: &str, purpose: For, base: &Path, lookup: Lookup<'_>) -> Parsed {
    let mut parsed = Parsed::default();
    let words = match words::words(text) {
        Ok(words) => words,
        Err(error) => {
            parsed.errors.push(Flaw::new(text, error));
            return parsed;
        }
    };
    let mut words = words.into_iter();
    // After a flag that nobody knows: whether its value follows is not known either.
    let mut unsure = false;
    while let Some(word) = words.next() {
        if std::mem::take(&mut unsure) && !word.starts_with('-') {
            continue;
        }
        if word == "--" {
            // The end of the flags: what follows is image and command, which have keys of their own.
            parsed.errors.extend(words.by_ref().map(|word| stray(&word)));
            break;
        }
        if !word.starts_with('-') {
            parsed.errors.push(stray(&word));
            continue;
        }
        let word = match glued(&word) {
            Some((flag, value)) => {
                let shown = shown(value.split('=').next().unwrap_or_default(), value);
                let message = format!("--{flag}{shown} is read as --{flag} {shown}: a blank is missing");
                parsed.warnings.push(Flaw::new(&word, message));
                format!("--{flag}={value}")
            }
            None => word,
        };
        for (name, given) in flags_of(&word) {
            let Some(flag) = FLAGS.iter().find(|f| f.long == name || f.short == name.chars().next() && name.len() == 1)
            else {
                let hint = nearest(&name, FLAGS.iter().map(|f| f.long)).map(|n| format!("did you mean `--{n}`?"));
                let shown = shown(word.split('=').next().unwrap_or_default(), &word);
                let wrong = Wrong { hint, ..Wrong::from(format!("{shown} is no flag of docker run")) };
                parsed.errors.push(Flaw::new(&word, wrong));
                unsure = true;
                continue;
            };
            if purpose == For::Exec && !EXEC.contains(&flag.long) {
                parsed.errors.push(Flaw::new(&word, format!("--{} is no flag of docker exec", flag.long)));
            }
            let value = match (flag.takes_value(), given) {
                (true, Some(value)) => value,
                (true, None) => match words.next() {
                    Some(value) => value,
                    None => {
                        parsed.errors.push(Flaw::new(&word, format!("--{} needs a value", flag.long)));
                        continue;
                    }
                },
                (false, given) => given.unwrap_or_else(|| "true".to_owned()),
            };
            let result = match flag.does {
                Does::Nothing => Ok(()),
                Does::Ignored(why) => {
                    parsed.warnings.push(Flaw::new(&word, format!("--{} is ignored: {why}", flag.long)));
                    Ok(())
                }
                Does::Switch(apply) => match values::truth(&value) {
                    Some(on) => {
                        apply(&mut parsed, on);
                        Ok(())
                    }
                    None => Err("expected true or false".into()),
                },
                Does::Value(apply) => apply(&mut parsed, &value, &Outside { base, lookup }),
            };
            if let Err(wrong) = result {
                let shown = shown(value.split('=').next().unwrap_or_default(), &value);
                let separator = if wrong.expected.is_some() { "" } else { ":" };
                let message = format!("--{} {shown}{separator} {}", flag.long, wrong.message);
                parsed.errors.push(Flaw::new(&value, Wrong { message, ..wrong }));
            }
        }
    }
    parsed
}

/// A long flag that its value follows without a blank, as in `--volume"/a:/b"`.
fn glued(word: &str) -> Option<(&'static str, &str)> {
    let long = word.strip_prefix("--")?;
    let end = long.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))?;
    let (name, value) = long.split_at(end);
    let flag = FLAGS.iter().find(|f| f.long == name && f.takes_value() && value.starts_with(['/', '.', '~']))?;
    Some((flag.long, value))
}

fn stray(word: &str) -> Flaw {
    let shown = shown(word.split('=').next().unwrap_or_default(), word);
    let hint = Some("image and command have keys of their own".to_owned());
    Flaw::new(word, Wrong { hint, ..Wrong::from(format!("{shown} is no flag")) })
}

/// The flags in one word with the value that is part of it: `--name=value`, `-it`, `-eVALUE`.
fn flags_of(word: &str) -> Vec<(String, Option<String>)> {
    if let Some(long) = word.strip_prefix("--") {
        return vec![match long.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (long.to_owned(), None),
        }];
    }
    let Some(mut short) = word.strip_prefix('-').filter(|s| !s.is_empty()) else {
        return vec![(word.to_owned(), None)];
    };
    let mut flags = Vec::new();
    while let Some(letter) = short.chars().next() {
        short = &short[letter.len_utf8()..];
        let takes = FLAGS.iter().any(|f| f.short == Some(letter) && f.takes_value());
        let value = if takes && !short.is_empty() {
            Some(std::mem::take(&mut short))
        } else {
            // `-t=false`
            short.strip_prefix('=').inspect(|_| short = "")
        };
        flags.push((letter.to_string(), value.map(|v| v.strip_prefix('=').unwrap_or(v).to_owned())));
    }
    flags
}

/// When to pull.
///
/// # Errors
/// Says what was expected.
pub fn pull(text: &str) -> Result<PullPolicy, Wrong> {
    let words = [
        ("missing", PullPolicy::Missing),
        ("always", PullPolicy::Always),
        ("daily", PullPolicy::Daily),
        ("never", PullPolicy::Never),
    ];
    choice(text, &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Parsed {
        parse(text, For::Run, Path::new("/s"), &|name| (name == "KNOWN").then(|| "v".to_owned()))
    }

    /// Every flag of `docker run` of version 28, as its help lists them.
    const CLI_28: &str = "add-host attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile \
        cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems detach detach-keys \
        device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops \
        disable-content-trust dns dns-option dns-search domainname entrypoint env env-file expose gpus group-add \
        health-cmd health-interval health-retries health-start-interval health-start-period health-timeout help hostname init \
        interactive ip ip6 ipc isolation kernel-memory label label-file link link-local-ip log-driver log-opt \
        mac-address memory memory-reservation memory-swap memory-swappiness mount name network network-alias \
        no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged publish publish-all pull quiet \
        read-only restart rm runtime security-opt shm-size sig-proxy stop-signal stop-timeout storage-opt sysctl tmpfs \
        tty ulimit use-api-socket user userns uts volume volume-driver volumes-from workdir annotation";

    #[test]
    fn knows_the_whole_command_line() {
        for name in CLI_28.split_whitespace() {
            assert!(FLAGS.iter().any(|f| f.long == name), "{name}");
        }
        let mut letters: Vec<char> = FLAGS.iter().filter_map(|f| f.short).collect();
        letters.sort_unstable();
        assert_eq!(letters.iter().collect::<String>(), "Pacdehilmpqtuvw");
    }

    #[test]
    fn forms_of_flags() {
        let p = run("--rm -it --name x -eA=1 -e B=2 --env=C=3 --env KNOWN -v=/a:/b:ro --volume /c:/d\n  \
            --network=n1 --network name=n2,alias=w -u 1:2 --privileged --init=false -m 512m --cpus 1.5 --entrypoint '' \
            -p 80:80 --pull always --label a=b --env-file x.env");
        assert_eq!(p.errors, []);
        assert_eq!(p.warnings.len(), 1);
        assert_eq!(p.warnings[0].wrong.message, "--tty is ignored: a terminal would mix output and errors");
        let env: Vec<_> = p.spec.env.0.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(env, ["A=1", "B=2", "C=3", "KNOWN=v"]);
        assert_eq!(p.spec.mounts.len(), 2);
        assert_eq!(p.spec.networks, ["n1", "n2"]);
        assert_eq!((p.spec.privileged, p.spec.init), (true, Some(false)));
        assert_eq!((p.spec.memory, p.spec.nano_cpus), (Some(512 << 20), Some(1_500_000_000)));
        assert_eq!(p.spec.entrypoint, Some(vec![]));
        assert_eq!(p.env_files, ["x.env"]);
    }

    #[test]
    fn what_is_no_flag_and_what_is_empty() {
        let volum = run("--volum /a:/b").errors.remove(0);
        assert_eq!(
            (volum.word.as_str(), volum.wrong.message.as_str()),
            ("--volum", "--volum is no flag of docker run")
        );
        assert_eq!(volum.wrong.hint.as_deref(), Some("did you mean `--volume`?"));
        let memory = run("-m lots").errors.remove(0);
        assert_eq!((memory.word.as_str(), memory.wrong.message.as_str()), ("lots", "--memory lots is not understood"));
        for (text, error) in [
            ("image", "image is no flag"),
            ("--rm -- image", "image is no flag"),
            ("--user", "--user needs a value"),
            ("-e =x", "--env =x is not"),
        ] {
            assert!(run(text).errors[0].wrong.message.starts_with(error), "{text}");
        }
        assert_eq!(run("--rm --").errors, []);
        let glued = run("--volume/var/log/x:/var/log/x:rw --env A=1");
        assert_eq!((glued.spec.mounts.len(), glued.errors.len()), (1, 0));
        assert!(glued.warnings[0].wrong.message.contains("a blank is missing"), "{:?}", glued.warnings);
        assert!(run("--volume ::rw").warnings[0].wrong.message.contains("left out"));
        let errors = run("--env DB_PASSWORD=hunter2 --ulimit x").errors;
        assert_eq!(errors[0].wrong.expected.as_deref(), Some("name=soft or name=soft:hard"));
        let exec = parse("-u 0 --volume /a:/b", For::Exec, Path::new("/"), &|_| None);
        assert_eq!((exec.spec.user.as_deref(), exec.errors.len()), (Some("0"), 1));
    }
}
