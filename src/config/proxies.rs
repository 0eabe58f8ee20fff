//! The proxies through which the outside is reached. The engine's socket never is.

use super::Problem;
use super::raw::RawSettings;
use super::validate::Written;
use crate::secret::Environment;

/// The variables of the proxies, in both spellings: programs differ in which they read. `ALL_PROXY`
/// stands for those that are not set. A bad one is reported and counts as not set.
pub fn read(raw: &RawSettings, written: &Written, problems: &mut Vec<Problem>) -> Environment {
    let mut proxy = |name: &'static str, text: &Option<String>| {
        let text = text.as_deref()?.trim();
        match address(text) {
            // With its scheme, so that everybody sees where credentials end.
            Ok(()) if text.contains("://") => Some(text.to_owned()),
            Ok(()) => Some(format!("http://{text}")),
            Err(message) => {
                let (key, source) =
                    written.get(name).map_or((name, "environment"), |(key, source)| (*key, source.as_str()));
                problems.push(Problem::error(source, message).at(key, text).hint("it counts as not set"));
                None
            }
        }
    };
    let [http, https, all] =
        [("HTTP_PROXY", &raw.http_proxy), ("HTTPS_PROXY", &raw.https_proxy), ("ALL_PROXY", &raw.all_proxy)]
            .map(|(name, text)| proxy(name, text));
    let variables = [
        ("HTTP_PROXY", http.or_else(|| all.clone())),
        ("HTTPS_PROXY", https.or_else(|| all.clone())),
        ("ALL_PROXY", all),
        ("NO_PROXY", raw.no_proxy.clone()),
    ];
    let set = variables.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Environment(set.flat_map(|(name, v)| [(name.to_owned(), v.clone()), (name.to_lowercase(), v)]).collect())
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
        let raw = RawSettings {
            all_proxy: Some("me:hunter2@p:1".to_owned()),
            https_proxy: Some("ftp://me:hunter2@p".to_owned()),
            no_proxy: Some("x".to_owned()),
            ..RawSettings::default()
        };
        let mut problems = vec![];
        let proxies = read(&raw, &Written::new(), &mut problems);
        let names: Vec<&str> = proxies.0.keys().map(String::as_str).collect();
        assert_eq!(names.len(), 8, "{names:?}");
        assert_eq!(proxies.0["https_proxy"], "http://me:hunter2@p:1");
        assert_eq!((proxies.0["NO_PROXY"].as_str(), problems.len()), ("x", 1));
        assert!(!format!("{proxies:?} {problems:?}").contains("hunter2"));
    }
}
