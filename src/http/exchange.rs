//! One exchange: the request, the redirects, the answer.

use std::time::{Duration, Instant};

use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, Url};

use super::{Answer, Failure, Order, Said, TIMEOUT, client, redirect};
use crate::job::Http;
use crate::secret::shown_address;

/// So many redirects are followed.
const REDIRECTS: usize = 10;

/// Sends the request, follows redirects, and hands on the answer as it comes. A redirect whose code
/// is among the expected ones is an answer like any other. The body is read to its end, whatever
/// its length: servers end their work when nobody listens.
///
/// # Errors
/// Without a whole answer within the limit of the request.
pub async fn exchange(order: &Order, sink: &mut dyn FnMut(Said<'_>)) -> Result<Answer, Failure> {
    let limit = order.request.timeout.unwrap_or(TIMEOUT);
    let client = client::client(order)?;
    match tokio::time::timeout(limit, hops(&client, order, sink)).await {
        Ok(done) => done,
        Err(_) => Err(Failure::Unreachable(format!("no whole answer within {}", seconds(limit)))),
    }
}

/// A time as people read it.
pub fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds.fract() == 0.0 { format!("{seconds} s") } else { format!("{seconds:.2} s") }
}

async fn hops(client: &Client, order: &Order, sink: &mut dyn FnMut(Said<'_>)) -> Result<Answer, Failure> {
    let http = &order.request;
    let mut url: Url = http.url.parse().map_err(|error| Failure::Request(format!("the address is none: {error}")))?;
    let mut method = Method::from_bytes(http.method.as_bytes())
        .map_err(|_| Failure::Request(format!("{:?} is no method", http.method)))?;
    let mut own = Own::of(&mut url, http)?;
    let mut body = http.body.as_ref();
    for _ in 0..=REDIRECTS {
        let begun = Instant::now();
        let mut request = client.request(method.clone(), url.clone());
        if let Some(body) = body {
            request = request.body(body.clone());
        }
        let response = own.add_to(request).send().await.map_err(failure)?;
        let status = response.status();
        let expected = http.expects(status.as_u16());
        let location = response.headers().get(LOCATION).map(HeaderValue::as_bytes);
        let next = if expected { Ok(None) } else { redirect::next(&method, &url, status.as_u16(), location) };
        let to = next.as_ref().ok().and_then(|next| next.as_ref()).map(|next| shown_address(next.url.as_str()));
        sink(Said::Answer {
            method: method.as_str(),
            url: &shown_address(url.as_str()),
            status: status.to_string().trim(),
            redirect: to.as_deref(),
            took: begun.elapsed(),
        });
        let Some(next) = next.map_err(|why| Failure::Redirect(format!("the redirect is not followed: {why}")))? else {
            let bytes = read(response, sink).await?;
            return Ok(Answer { status: status.as_u16(), bytes });
        };
        if next.foreign {
            own = Own::default();
        }
        body = body.filter(|_| next.body);
        (method, url) = (next.method, next.url);
    }
    Err(Failure::Redirect(format!("more than {REDIRECTS} redirects")))
}

async fn read(mut response: Response, sink: &mut dyn FnMut(Said<'_>)) -> Result<u64, Failure> {
    let mut bytes = 0;
    while let Some(piece) = response.chunk().await.map_err(failure)? {
        bytes += piece.len() as u64;
        sink(Said::Body(&piece));
    }
    Ok(bytes)
}

/// What the server that the job names is told, and no other one.
#[derive(Default)]
struct Own {
    headers: HeaderMap,
    login: Option<(String, Option<String>)>,
}

impl Own {
    /// Takes the credentials out of the address: a redirect to the same server needs them, too.
    fn of(url: &mut Url, http: &Http) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in &http.headers.0 {
            let wrong = || Failure::Request(format!("{name:?} cannot be a header with that value"));
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        let plain = |text: &str| percent_decoded(text);
        let login = (!url.username().is_empty() || url.password().is_some())
            .then(|| (plain(url.username()), url.password().map(plain)));
        // Both only fail for addresses without a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self { headers, login })
    }

    fn add_to(&self, request: RequestBuilder) -> RequestBuilder {
        let request = match &self.login {
            Some((user, password)) => request.basic_auth(user, password.as_ref()),
            None => request,
        };
        let mut headers = self.headers.clone();
        // The client puts it where it belongs.
        let host = headers.remove(HOST);
        let request = request.headers(headers);
        match host {
            Some(host) => request.header(HOST, host),
            None => request,
        }
    }
}

/// `%40` as `@`; what is no UTF-8 then is replaced.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An error of the client without the address, which may hold a secret.
fn failure(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let text = chain(&error);
    if error.is_builder() { Failure::Request(text) } else { Failure::Unreachable(text) }
}

/// An error with its causes: the client's own text leaves them out.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs() {
        for (text, expected) in [("a%40b", "a@b"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("%C3%A9", "é"), ("%25", "%")]
        {
            assert_eq!(percent_decoded(text), expected);
        }
    }
}
