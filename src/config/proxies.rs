//! The proxies through which the outside is reached. The engine's socket never is.

use super::Problem;
use super::raw::RawSettings;
use super::validate::Written;
use crate::secret::{Environment, Secret};

/// The proxies of the outside; their addresses may hold credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    /// For plain http.
    pub http: Option<Secret<String>>,
    /// For https.
    pub https: Option<Secret<String>>,
    /// Where none of the two is set.
    pub all: Option<Secret<String>>,
    /// Hosts that are reached without one, as `NO_PROXY` has them.
    pub none: Option<String>,
}

impl Proxies {
    /// The variables of the proxies, in both spellings: programs differ in which they read.
    pub fn environment(&self) -> Environment {
        let exposed = |value: &Option<Secret<String>>| value.as_ref().map(|v| v.expose().clone());
        let variables = [
            ("HTTP_PROXY", exposed(&self.http)),
            ("HTTPS_PROXY", exposed(&self.https)),
            ("ALL_PROXY", exposed(&self.all)),
            ("NO_PROXY", self.none.clone()),
        ];
        let set = variables.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Environment(set.flat_map(|(name, v)| [(name.to_owned(), v.clone()), (name.to_lowercase(), v)]).collect())
    }
}

/// Reads them; a bad one is reported and counts as not set.
pub fn read(raw: &RawSettings, written: &Written, problems: &mut Vec<Problem>) -> Proxies {
    let mut proxy = |name: &str, text: &Option<String>| {
        let text = text.as_deref()?.trim();
        match address(text) {
            Ok(()) => Some(Secret::new(text.to_owned())),
            Err(message) => {
                let (key, source) =
                    written.get(name).map_or((name, "environment"), |(key, source)| (key, source.as_str()));
                problems.push(Problem::error(source, message).at(key, text).hint("it counts as not set"));
                None
            }
        }
    };
    Proxies {
        http: proxy("HTTP_PROXY", &raw.http_proxy),
        https: proxy("HTTPS_PROXY", &raw.https_proxy),
        all: proxy("ALL_PROXY", &raw.all_proxy),
        none: raw.no_proxy.clone(),
    }
}

/// Checks the form `[http[s]://][user:password@]host[:port][/]`.
fn address(text: &str) -> Result<(), String> {
    let rest = match text.split_once("://") {
        Some((scheme, _)) if scheme.starts_with("socks") => {
            return Err("a SOCKS proxy cannot be used for git".to_owned());
        }
        Some(("http" | "https", rest)) => rest,
        Some(_) => return Err("expected http://host:port".to_owned()),
        None => text,
    };
    let host = rest.trim_end_matches('/').rsplit('@').next().unwrap_or(rest);
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let plain = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || "/?#".contains(c));
    let good = plain && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if good { Ok(()) } else { Err("expected http://host:port".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies() {
        for good in [
            "http://p:3128",
            "https://p/",
            "p:3128",
            "http://me:s%40t@p:3128/",
            "http://[::1]:3128",
            "http://[::1]",
            "p",
        ] {
            assert_eq!(address(good), Ok(()), "{good}");
        }
        for bad in
            ["socks5h://p:1", "ftp://p", "http://", "http://p:port", "http://p:0", "http://p q", "http://p/x", "://p"]
        {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn both_spellings_and_no_secret_in_debug() {
        let proxies = Proxies {
            https: Some(Secret::new("http://me:hunter2@p:1".to_owned())),
            none: Some("x".to_owned()),
            ..Proxies::default()
        };
        let names: Vec<String> = proxies.environment().0.into_keys().collect();
        assert_eq!(names, ["HTTPS_PROXY", "NO_PROXY", "https_proxy", "no_proxy"]);
        assert!(!format!("{proxies:?} {:?}", proxies.environment()).contains("hunter2"));
    }
}
