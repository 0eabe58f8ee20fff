//! The body of an http job: one request, what came of it in a line, and the answer.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::http::{Failure, Order, Said, exchange, seconds};
use crate::secret::shown_address;

/// So much of an answer's body is shown.
const SHOWN: u64 = 64 << 10;

/// Exit codes; those of the command line.
mod exit {
    pub const DONE: u8 = 0;
    pub const UNEXPECTED: u8 = 1;
    pub const REQUEST: u8 = 64;
    pub const UNREACHABLE: u8 = 69;
}

/// Makes the request that the scheduler has put into `TENDER_HTTP`.
///
/// # Errors
/// When there is none, or the output cannot be written.
pub async fn main(env: &BTreeMap<String, String>) -> Result<u8> {
    let Some(text) = env.get("TENDER_HTTP") else {
        bail!("`tender job http` is started by the scheduler, which says in TENDER_HTTP what to ask");
    };
    let order: Order = serde_json::from_str(text).context("TENDER_HTTP is damaged")?;
    request(&order, &mut std::io::stdout(), &mut std::io::stderr()).await
}

/// Makes a request. The answer's body goes to `out`, as it is, what is said about it to `remarks`.
///
/// # Errors
/// When the output cannot be written.
pub async fn request(order: &Order, out: &mut impl Write, remarks: &mut impl Write) -> Result<u8> {
    let begun = Instant::now();
    let mut written: std::io::Result<()> = Ok(());
    let mut shown = 0;
    let mut write = |said: Said<'_>| -> std::io::Result<()> {
        match said {
            Said::Answer { method, url, status, redirect, took } => {
                let to = redirect.map(|to| format!(", on to {to}")).unwrap_or_default();
                writeln!(remarks, "{method} {url}: {status} after {}{to}", seconds(took))
            }
            Said::Body(bytes) => {
                let left = usize::try_from(SHOWN - shown).unwrap_or_default().min(bytes.len());
                shown += left as u64;
                out.write_all(&bytes[..left])?;
                out.flush()
            }
        }
    };
    let mut sink = |said: Said<'_>| {
        if written.is_ok() {
            written = write(said);
        }
    };
    let answer = exchange(order, &mut sink).await;
    written.context("failed to pass on the answer")?;
    let time = seconds(begun.elapsed());
    let wanted = &order.request;
    let (line, code) = match answer {
        Ok(answer) => {
            let rest = if answer.bytes > SHOWN { format!(", of which {SHOWN} are shown") } else { String::new() };
            let size = format!("{} bytes{rest} in {time}", answer.bytes);
            if wanted.expects(answer.status) {
                (size, exit::DONE)
            } else {
                (format!("{size}; {} was not expected, but {}", answer.status, wanted.expected()), exit::UNEXPECTED)
            }
        }
        Err(failure) => {
            let line = format!("{} {}: {failure} (after {time})", wanted.method, shown_address(&wanted.url));
            let code = match failure {
                Failure::Request(_) => exit::REQUEST,
                Failure::Unreachable(_) => exit::UNREACHABLE,
                Failure::Redirect(_) => exit::UNEXPECTED,
            };
            (line, code)
        }
    };
    writeln!(remarks, "{line}").context("failed to say what came of it")?;
    Ok(code)
}
