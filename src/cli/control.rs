//! Requests to the running scheduler that need no more than its answer.

use super::args::Form;
use super::context::Context;
use super::failure::nearest;
use super::{exit, out};
use crate::web::CallError;

/// `tender reload`: 64 when the old configuration stays in force, or parts of the new one were
/// refused.
pub(super) async fn reload(context: &Context, args: &Form) -> anyhow::Result<u8> {
    match context.scheduler()?.reload().await {
        Ok(reloaded) => {
            if args.json {
                context.out.json(&reloaded)?;
            } else {
                context.out.line(&reloaded)?;
                reloaded.refused.iter().for_each(out::remark);
            }
            Ok(if reloaded.refused.is_empty() { exit::DONE } else { exit::CONFIG })
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
