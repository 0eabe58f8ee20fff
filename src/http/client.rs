//! The HTTP client: its authorities and proxies.

use reqwest::{Certificate, Client, NoProxy, Proxy, redirect, retry};

use super::{Failure, Order};

/// What servers are told that we are.
const USER_AGENT: &str = concat!("tender/", env!("CARGO_PKG_VERSION"));

/// A client for an order. Redirects are not its business.
pub(super) fn client(order: &Order) -> Result<Client, Failure> {
    // Whoever speaks TLS first installs its provider; a second install is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // No variable of this process decides about proxies, and nothing is sent twice.
    let mut builder =
        Client::builder().user_agent(USER_AGENT).redirect(redirect::Policy::none()).retry(retry::never()).no_proxy();
    for proxy in proxies(order)? {
        builder = builder.proxy(proxy);
    }
    if let Some(path) = &order.ca_file {
        let wrong = |error: String| Failure::Request(format!("the authorities in {}: {error}", path.display()));
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
        if authorities.is_empty() {
            return Err(wrong("the file holds no certificate".to_owned()));
        }
        builder = builder.tls_certs_merge(authorities);
    }
    builder.build().map_err(|error| Failure::Request(super::exchange::chain(&error)))
}

fn proxies(order: &Order) -> Result<Vec<Proxy>, Failure> {
    let word = |name: &str| order.proxies.0.get(name).filter(|value| !value.is_empty());
    let direct = NoProxy::from_string(word("NO_PROXY").map_or("", String::as_str));
    let http = word("HTTP_PROXY").map(|url| ("HTTP_PROXY", Proxy::http(url)));
    let https = word("HTTPS_PROXY").map(|url| ("HTTPS_PROXY", Proxy::https(url)));
    [http, https]
        .into_iter()
        .flatten()
        .map(|(name, proxy)| match proxy {
            Ok(proxy) => Ok(proxy.no_proxy(direct.clone())),
            // Its text may hold a password.
            Err(_) => Err(Failure::Request(format!("{name} is no address of a proxy"))),
        })
        .collect()
}
