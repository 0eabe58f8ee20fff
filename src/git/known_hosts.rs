//! Host keys: what the lines of `known_hosts` say about a host.
//!
//! libssh2's own matcher knows neither `@revoked` nor wildcards, and one bad line fails it.

use hmac::{Hmac, Mac};
use sha1::Sha1;
use ssh_key::PublicKey;
use ssh_key::known_hosts::{Entry, HostPatterns, KnownHosts, Marker};

/// As the forges publish them.
pub(super) const SHIPPED: &str = "\
github.com,[ssh.github.com]:443 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl
gitlab.com,[altssh.gitlab.com]:443 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf
bitbucket.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO
codeberg.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIVIC02vnjFyL+I4RHfvIGNtOgJMe769VTF1VR4EB3ZB
";

/// What is known about a host and a key that it has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is one of the host's keys.
    Known,
    /// Nothing is known about the host.
    New,
    /// The host is known by other keys, be it of another type.
    Changed,
    /// The key is marked as revoked.
    Revoked,
}

/// The name under which a host is written in `known_hosts`.
pub(super) fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// Judges a key. A host on a port of its own is also known by its plain name, as in OpenSSH.
pub(super) fn judge(text: &str, host: &str, port: u16, key: &PublicKey) -> Standing {
    match standing(text, &name(host, port), key) {
        Standing::New if port != 22 => match standing(text, &name(host, 22), key) {
            Standing::Changed => Standing::New,
            other => other,
        },
        other => other,
    }
}

fn standing(text: &str, name: &str, key: &PublicKey) -> Standing {
    let mut found = Standing::New;
    for entry in about(text, name) {
        let equal = entry.public_key().key_data() == key.key_data();
        match entry.marker() {
            Some(Marker::Revoked) if equal => return Standing::Revoked,
            Some(_) => {}
            None if equal => found = Standing::Known,
            None if found == Standing::New => found = Standing::Changed,
            None => {}
        }
    }
    found
}

/// Types of the keys that a host is known by: those are to be asked for, or a host that has more
/// than one key seems changed.
pub(super) fn types(text: &str, host: &str, port: u16) -> Vec<String> {
    about(text, &name(host, port))
        .chain(about(text, &name(host, 22)))
        .filter(|entry| entry.marker().is_none())
        .map(|entry| entry.public_key().algorithm().as_str().to_owned())
        .collect()
}

/// The entries for a name; lines that cannot be read are passed over.
fn about<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Entry> + 'a {
    KnownHosts::new(text).flatten().filter(move |entry| matches(entry.host_patterns(), name))
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .map(|mac| mac.chain_update(name.as_bytes()).verify_slice(hash).is_ok())
            .unwrap_or(false),
        HostPatterns::Patterns(patterns) => {
            let hit = |pattern: &str| glob(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes());
            let (not, yes): (Vec<&String>, Vec<&String>) = patterns.iter().partition(|p| p.starts_with('!'));
            yes.iter().any(|p| hit(p)) && !not.iter().any(|p| hit(&p[1..]))
        }
    }
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    #[test]
    fn keys_are_judged() {
        let text = format!(
            "# comment\nnot a line at all\nsk.example sk-broken AAAA\n\
             plain.example {A}\n[odd.example]:2222 {A}\n*.wild.example,!bad.wild.example {A}\n\
             two.example {B}\ntwo.example {A}\n@revoked rev.example {A}\nrev.example {A}\n\
             @cert-authority ca.example {A}\nplainport.example {A}\nUPPER.example {A}\n"
        );
        for (host, port, shown, expected) in [
            ("plain.example", 22, A, Standing::Known),
            ("Plain.Example", 22, A, Standing::Known),
            ("upper.example", 22, A, Standing::Known),
            ("plain.example", 22, B, Standing::Changed),
            ("other.example", 22, A, Standing::New),
            ("odd.example", 2222, A, Standing::Known),
            ("odd.example", 2222, B, Standing::Changed),
            ("odd.example", 22, A, Standing::New),
            ("x.wild.example", 22, B, Standing::Changed),
            ("bad.wild.example", 22, B, Standing::New),
            ("two.example", 22, A, Standing::Known),
            ("rev.example", 22, A, Standing::Revoked),
            ("rev.example", 22, B, Standing::Changed),
            ("ca.example", 22, A, Standing::New),
            ("plainport.example", 2222, A, Standing::Known),
            ("plainport.example", 2222, B, Standing::New),
        ] {
            assert_eq!(judge(&text, host, port, &key(shown)), expected, "{host}:{port}");
        }
    }

    #[test]
    fn hashed_names_match() {
        let hash = {
            let mac = Hmac::<Sha1>::new_from_slice(b"0123456789abcdefghij").unwrap();
            mac.chain_update(b"[hashed.example]:2222").finalize().into_bytes()
        };
        let patterns = HostPatterns::HashedName { salt: b"0123456789abcdefghij".to_vec(), hash: hash.into() };
        let text = format!("{} {A}", patterns.to_string());
        assert_eq!(judge(&text, "hashed.example", 2222, &key(A)), Standing::Known);
        assert_eq!(judge(&text, "hashed.example", 22, &key(A)), Standing::New);
        assert_eq!(types(&text, "hashed.example", 2222), ["ssh-ed25519"]);
    }

    #[test]
    fn the_shipped_lines_are_readable() {
        assert_eq!(KnownHosts::new(SHIPPED).flatten().count(), 4);
        assert_eq!(judge(SHIPPED, "github.com", 22, &key(A)), Standing::Known);
        assert_eq!(judge(SHIPPED, "ssh.github.com", 443, &key(A)), Standing::Known);
        assert_eq!(judge(SHIPPED, "gitlab.com", 22, &key(A)), Standing::Changed);
    }

    #[test]
    fn globs() {
        for (pattern, name, expected) in [
            ("*", "anything", true),
            ("a*c", "abbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*.example", "x.y.example", true),
            ("*.example", "example", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
