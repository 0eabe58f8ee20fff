//! Looking at all checkouts, and telling what was found.

use super::context::Context;
use super::{conditional, short};
use crate::engine::Host;
use crate::run::{CheckoutVerdict, Verdict};

/// Looks at every checkout, asks the remotes, and says a line about each.
///
/// # Errors
/// When a conditional trigger cannot be run.
pub async fn at_all<H: Host>(context: &Context<H>) -> anyhow::Result<Vec<CheckoutVerdict>> {
    let mut verdicts = Vec::new();
    for checkout in &context.settings.checkouts {
        let mut examined = context.git.examine(checkout).await;
        if examined.verdict.verdict == Verdict::Behind
            && let Some(trigger) = &examined.trigger
            && !conditional::asks_for_deploy(context, checkout, trigger, &examined.changed_files).await?
        {
            examined.verdict.verdict = Verdict::UpdateOnly;
            examined.verdict.reason = Some("autodeploy/conditional-trigger asks for no restart".into());
        }
        context.say(sentence(&examined.verdict));
        if let (Verdict::Behind, Some(from), Some(to)) =
            (examined.verdict.verdict, &examined.verdict.from, &examined.verdict.to)
        {
            for line in context.git.log(checkout, from, to, 5).await.unwrap_or_default() {
                context.say(format!("    {line}"));
            }
        }
        verdicts.push(examined.verdict);
    }
    Ok(verdicts)
}

/// One sentence about a checkout.
pub fn sentence(v: &CheckoutVerdict) -> String {
    let path = v.path.display();
    let from = v.from.as_deref().map_or("?", short);
    let to = v.to.as_deref().map_or("?", short);
    let because = v.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
    match v.verdict {
        Verdict::UpToDate => format!("{path}: {} is up to date at {from}{because}", v.follow),
        Verdict::Behind => format!("{path}: {} is behind, {from} → {to}{because}", v.follow),
        Verdict::UpdateOnly => format!("{path}: {} is behind, {from} → {to}; files only{because}", v.follow),
        Verdict::Diverged => {
            format!("WARNING: {path}: diverged: {} and its upstream each have commits of their own{because}", v.follow)
        }
        Verdict::Dirty => format!("WARNING: {path}: dirty: it has changes that are not committed{because}"),
        Verdict::Pinned => format!("{path}: pinned at {from}{because}"),
        Verdict::NoUpstream => format!("{path}: {} has no upstream; left as it is{because}", v.follow),
        Verdict::Missing => format!("WARNING: {path}: there is no such folder; the others go on{because}"),
        Verdict::NotARepo => format!("WARNING: {path}: is no git checkout; the others go on{because}"),
        Verdict::Unknown => format!("WARNING: {path}: unknown: its remote could not be asked{because}"),
    }
}
