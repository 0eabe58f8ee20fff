//! Addresses of remotes.

use std::fmt;

/// A remote that is reached over ssh.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SshTarget {
    pub(super) user: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.host)?;
        if self.port == 22 { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// The target of `ssh://[user@]host[:port]/path` and of `[user@]host:path`; `None` for addresses
/// of other kinds. Without a user it is `git`: the name of whoever runs the child means nothing.
pub(super) fn ssh_target(url: &str) -> Option<SshTarget> {
    let rest = ["ssh://", "git+ssh://", "ssh+git://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let (authority, path, port_allowed) = match rest {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/')?);
            let path = decode(path);
            (authority, path.strip_prefix('/').filter(|p| p.starts_with('~')).unwrap_or(&path).to_owned(), true)
        }
        None if url.contains("://") => return None,
        None => {
            // a colon before any slash, as git itself decides; those of [::1] do not count
            let start = if url.contains('[') { url.find(']')? } else { 0 };
            let colon = start + url[start..].find(':')?;
            if url[..colon].contains('/') {
                return None;
            }
            (&url[..colon], url[colon + 1..].to_owned(), false)
        }
    };
    let (user, place) = authority.rsplit_once('@').unwrap_or(("git", authority));
    let user = user.split(':').next().unwrap_or("git");
    let (host, port) = match place.strip_prefix('[').and_then(|p| p.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':')),
        None if port_allowed => place.rsplit_once(':').map_or((place, None), |(h, p)| (h, Some(p))),
        None => (place, None),
    };
    let port = match port.filter(|p| !p.is_empty()) {
        Some(port) => port.parse().ok()?,
        None => 22,
    };
    (!host.is_empty() && !path.is_empty()).then(|| SshTarget {
        user: decode(user),
        host: host.to_ascii_lowercase(),
        port,
        path,
    })
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'%').then(|| after.get(..2)).flatten().and_then(|h| std::str::from_utf8(h).ok());
        match code.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::redact;
    use proptest::prelude::*;

    #[test]
    fn addresses_over_ssh() {
        for (url, expected) in [
            ("git@example.org:group/repo.git", Some("git@example.org group/repo.git")),
            ("Example.ORG:/srv/repo", Some("git@example.org /srv/repo")),
            ("ssh://example.org/srv/repo", Some("git@example.org /srv/repo")),
            ("ssh://me@example.org:2222/srv/a%20b", Some("me@example.org:2222 /srv/a b")),
            ("ssh://me:pw@example.org/~you/repo", Some("me@example.org ~you/repo")),
            ("ssh://git@[::1]:2222/r", Some("git@::1:2222 /r")),
            ("git@[::1]:r", Some("git@::1 r")),
            ("https://example.org/r", None),
            ("/srv/a:b", None),
            ("./a:b", None),
            ("../repo.git", None),
            ("file:///srv/r", None),
            ("ssh://host", None),
            ("ssh://host:no/r", None),
        ] {
            let found = ssh_target(url).map(|t| format!("{t} {}", t.path));
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn credentials_are_masked() {
        for (text, shown) in [
            ("https://me:hunter2@example.org/r failed", "https://***@example.org/r failed"),
            ("https://tok3n@example.org/r", "https://***@example.org/r"),
            ("'ssh://git@example.org/r' and http://a:b@c", "'ssh://git@example.org/r' and http://***@c"),
            ("https://a:p@ss@example.org/x@y", "https://***@example.org/x@y"),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC{0,60}") {
            let _ = ssh_target(&text);
            let _ = redact(&text);
        }

        #[test]
        fn a_password_never_stays(password in "[a-z0-9@:%]{4,12}", before in "[a-z ]{0,8}") {
            let shown = redact(&format!("{before} https://user:Q{password}Q@host/path"));
            prop_assert!(!shown.contains(&format!("Q{password}Q")), "{shown}");
        }
    }
}
