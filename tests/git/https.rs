//! Remotes over https: private authorities, and proxies.

use std::sync::atomic::Ordering;

use tender::git::{Git, GitOptions, Network};
use tender::run::{CheckoutVerdict, Verdict};
use tender::secret::Environment;

use crate::fixture::{Stack, git};
use crate::httpsd::{HOST, Proxy, authority, serve};

/// What comes of a look at a remote that has something new.
async fn look(stack: &Stack, url: &str, network: Network) -> CheckoutVerdict {
    git(&stack.checkout, &["remote", "set-url", "origin", url]);
    stack.give_checkout();
    Git::new(GitOptions { network, ..stack.options() }).examine(&stack.checkout).await.verdict
}

fn variables(pairs: &[(&str, &str)]) -> Environment {
    Environment(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let stack = Stack::new();
    let url = format!("https://127.0.0.1:{}/remote.git", serve(stack.dir.path()));
    let to = stack.push(&[("a", "2\n")]);
    let found = look(&stack, &url, Network::default()).await;
    assert_eq!(found.verdict, Verdict::Unknown, "{found:?}");
    assert!(found.reason.unwrap().contains("certificate"));
    let found = look(&stack, &url, Network { ca_file: Some(authority()), ..Network::default() }).await;
    assert_eq!((found.verdict, found.to.as_ref()), (Verdict::Behind, Some(&to)), "{found:?}");
    stack.tool().switch(&stack.checkout, &stack.head(), &to, false).await.unwrap();
    stack.holds(&to, &[]);
}

#[tokio::test]
async fn a_proxy_leads_to_the_remote() {
    let stack = Stack::new();
    // me:hunter2
    let proxy = Proxy::start(serve(stack.dir.path()), "bWU6aHVudGVyMg==");
    let url = format!("https://{HOST}/remote.git");
    let to = stack.push(&[("a", "2\n")]);
    let network = |pairs: &[(&str, &str)]| Network { proxies: variables(pairs), ca_file: Some(authority()) };
    let address = proxy.address("me:hunter2");
    let found = look(&stack, &url, network(&[("HTTPS_PROXY", &address), ("NO_PROXY", "other.test")])).await;
    assert_eq!((found.verdict, found.to.as_ref()), (Verdict::Behind, Some(&to)), "{found:?}");
    let through = proxy.through.load(Ordering::SeqCst);
    assert!(through > 0);
    // These do not get through; what is said holds no password.
    let wrong = proxy.address("me:hunter3");
    for pairs in [
        vec![("https_proxy", address.as_str()), ("NO_PROXY", HOST)],
        vec![("HTTP_PROXY", address.as_str())],
        vec![("HTTPS_PROXY", wrong.as_str())],
    ] {
        let found = look(&stack, &url, network(&pairs)).await;
        assert_eq!(found.verdict, Verdict::Unknown, "{found:?}");
        assert!(!found.reason.unwrap().contains("hunter"), "{pairs:?}");
    }
    assert_eq!(proxy.through.load(Ordering::SeqCst), through);
}
