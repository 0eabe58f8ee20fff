//! Where a redirect leads. Pure.

use reqwest::{Method, Url};

/// The request after a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) method: Method,
    pub(super) url: Url,
    /// The body is sent again.
    pub(super) body: bool,
    /// It goes to another server, which must not see the headers that were meant for the first.
    pub(super) foreign: bool,
}

/// What follows from an answer, as browsers and the standard (RFC 9110, 15.4) have it; `None` when
/// it is no redirect.
///
/// # Errors
/// Says why it is not followed.
pub(super) fn next(method: &Method, url: &Url, status: u16, location: Option<&[u8]>) -> Result<Option<Next>, String> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = location else { return Ok(None) };
    let location = std::str::from_utf8(location).map_err(|_| "the address it names is no text".to_owned())?;
    let to = url.join(location).map_err(|_| "the address it names is none".to_owned())?;
    if !matches!(to.scheme(), "http" | "https") {
        return Err(format!("it leads to {}:", to.scheme()));
    }
    if url.scheme() == "https" && to.scheme() == "http" {
        return Err("it leads from https to http".to_owned());
    }
    let see_other = match status {
        303 => method != Method::GET && method != Method::HEAD,
        301 | 302 => method == Method::POST,
        _ => false,
    };
    let method = if see_other { Method::GET } else { method.clone() };
    Ok(Some(Next { method, foreign: to.origin() != url.origin(), url: to, body: !see_other }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(method: &str, from: &str, status: u16, to: &str) -> Result<Option<(String, String, bool, bool)>, String> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let next = next(&method, &from.parse().unwrap(), status, Some(to.as_bytes()))?;
        Ok(next.map(|n| (n.method.to_string(), n.url.to_string(), n.body, n.foreign)))
    }

    #[test]
    fn where_they_lead() {
        let to = |method: &str, url: &str, body, foreign| Ok(Some((method.to_owned(), url.to_owned(), body, foreign)));
        let a = "http://a/x/y?z";
        assert_eq!(led("GET", a, 301, "../q"), to("GET", "http://a/q", true, false));
        assert_eq!(led("POST", a, 301, "/q"), to("GET", "http://a/q", false, false));
        assert_eq!(led("POST", a, 302, "/q"), to("GET", "http://a/q", false, false));
        assert_eq!(led("PUT", a, 302, "/q"), to("PUT", "http://a/q", true, false));
        assert_eq!(led("PUT", a, 303, "/q"), to("GET", "http://a/q", false, false));
        assert_eq!(led("HEAD", a, 303, "/q"), to("HEAD", "http://a/q", true, false));
        assert_eq!(led("POST", a, 307, "//b/q"), to("POST", "http://b/q", true, true));
        assert_eq!(led("POST", a, 308, "https://a/q"), to("POST", "https://a/q", true, true));
        assert_eq!(led("GET", a, 301, "http://a:8080/"), to("GET", "http://a:8080/", true, true));
        for status in [200, 300, 304, 305, 404] {
            assert_eq!(led("GET", a, status, "/q"), Ok(None), "{status}");
        }
        assert_eq!(next(&Method::GET, &a.parse().unwrap(), 302, None), Ok(None));
    }

    #[test]
    fn where_nobody_follows() {
        for (from, to) in [("https://a/", "http://a/"), ("http://a/", "file:///etc/passwd"), ("http://a/", "http://")] {
            assert!(led("GET", from, 302, to).is_err(), "{to}");
        }
        assert!(next(&Method::GET, &"http://a/".parse().unwrap(), 302, Some(b"\xff")).is_err());
    }
}
