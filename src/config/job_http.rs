//! The request of an `http` job.

use super::fields::{Fields, unexpected};
use super::job_container::filled;
use super::yaml::{Node, Span, Value};
use crate::job::{Action, Http};
use crate::secret::Environment;

/// Reads `http: ADDRESS` or `http: {url: …}`, and the networks beside it.
pub fn read(fields: &mut Fields<'_>) -> Option<Action> {
    let node = fields.take("http")?;
    let networks = fields.list("network").into_iter().map(|n| n.0).collect();
    let mut http = match &node.value {
        Value::Text(text) => {
            let url = address(&fields.expanded("http", node.place, text));
            match url {
                Ok(url) => Http { url, ..defaults("GET") },
                Err(message) => {
                    fields.bad("http", node.place, text, message, None);
                    return None;
                }
            }
        }
        Value::Map(_) => fields.nested("http", node, request)?,
        _ => {
            fields.error("http", node.mark(), unexpected("an address or a mapping", node));
            return None;
        }
    };
    http.networks = networks;
    Some(Action::Http(Box::new(http)))
}

fn defaults(method: &str) -> Http {
    Http {
        url: String::new(),
        method: method.to_owned(),
        headers: Environment::default(),
        body: None,
        status: vec![(200, 299)],
        timeout: None,
        networks: vec![],
    }
}

fn request(fields: &mut Fields<'_>) -> Option<Http> {
    let place = fields.place();
    if !fields.has("url") {
        fields.error("url", place, "is missing");
    }
    let url = fields.parsed("url", address);
    let body = fields.text("body").map(|b| b.0);
    let mut http = defaults(if body.is_some() { "POST" } else { "GET" });
    http.body = body;
    http.method = fields.parsed("method", method).unwrap_or(http.method);
    http.timeout = fields.duration("timeout");
    headers(fields, &mut http.headers);
    if let Some(node) = fields.take("status") {
        http.status = node.items().iter().filter_map(|code| status(fields, code)).collect();
    }
    http.url = url?;
    Some(http)
}

fn method(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic());
    if good { Ok(text.to_ascii_uppercase()) } else { Err("expected a method such as GET or POST".to_owned()) }
}

fn headers(fields: &mut Fields<'_>, headers: &mut Environment) {
    let Some(node) = fields.take("headers") else { return };
    let Value::Map(entries) = &node.value else {
        fields.error("headers", node.mark(), unexpected("a mapping of names to texts", node));
        return;
    };
    for (name, value) in entries {
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        match value.text() {
            Some(text) if plain && !text.contains(['\r', '\n']) => {
                let text = fields.expanded("headers", value.place, text);
                headers.0.insert(name.clone(), text);
            }
            _ => fields.error("headers", value.place, format!("{name:?}: expected a name and one line of text")),
        }
    }
}

/// `200`, `2xx` or `200-299`.
fn status(fields: &mut Fields<'_>, node: &Node) -> Option<(u16, u16)> {
    let text = node.text().unwrap_or_default();
    let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    let found = match text.split_once('-') {
        Some((low, high)) => code(low).zip(code(high)).filter(|(low, high)| low <= high),
        None => match text.strip_suffix("xx") {
            Some(class) => code(&format!("{class}00")).map(|low| (low, low + 99)),
            None => code(text).map(|code| (code, code)),
        },
    };
    if found.is_none() {
        fields.bad("status", node.mark(), text, "expected a code such as 200, 2xx or 200-299", None);
    }
    found
}

/// An address of the web.
///
/// # Errors
/// Says what was expected.
pub fn address(text: &str) -> Result<String, String> {
    let text = filled(text)?;
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') && !text.contains(char::is_whitespace) => Ok(text),
        _ => Err("expected an address that begins with http:// or https://".to_owned()),
    }
}

/// An address under a key; its place stands in for it in messages, because it may hold a token.
pub fn address_at(fields: &mut Fields<'_>, key: &'static str, text: &str, place: Span) -> Option<String> {
    match address(text) {
        Ok(url) => Some(url),
        Err(message) => {
            fields.error(key, place, message);
            None
        }
    }
}
