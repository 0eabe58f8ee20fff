//! Requests to the running scheduler that need no more than its answer.

use super::context::Context;
use super::failure::nearest;
use super::{exit, out};
use crate::web::CallError;

/// `tender reload`.
pub(super) async fn reload(context: &Context) -> anyhow::Result<u8> {
    match context.scheduler()?.reload().await {
        Ok(message) => {
            context.out.line(message)?;
            Ok(exit::DONE)
        }
        Err(CallError::Refused(why)) => {
            out::remark(format!("tender: {why}"));
            Ok(exit::CONFIG)
        }
        Err(error) => Err(error.into()),
    }
}

/// `there is no job "x"; did you mean "y"?`
pub(super) fn no_job<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let way_out = nearest(name, known.clone()).unwrap_or_else(|| match known.collect::<Vec<_>>() {
        names if names.is_empty() => "; no job is defined".to_owned(),
        names => format!("; there are {}", names.join(", ")),
    });
    format!("there is no job {name:?}{way_out}")
}
