//! Moving the checkouts to the new vector.

use anyhow::{Context as _, Result, bail};

use crate::builtin::deploy::context::Context;
use crate::builtin::deploy::short;
use crate::engine::Host;
use crate::git::Failure;
use crate::journal::deploy::DeployState;
use crate::run::Verdict;

/// Moves the checkouts. One that was begun before is finished by force, because nothing was in the
/// way when it began; any other is moved only while nothing of anybody's is in the way.
///
/// # Errors
/// When something is in the way, or a checkout cannot be moved.
pub(super) async fn switch<H: Host>(context: &Context<H>, state: &mut DeployState) -> Result<()> {
    for (checkout, (from, to)) in state.moves.clone() {
        let about = || format!("failed to switch {}", checkout.display());
        let begun = state.begun.contains(&checkout);
        let head = context.git.head(&checkout).await?;
        if head == to && (!begun || context.git.look(&checkout).await.verdict.verdict != Verdict::Dirty) {
            continue;
        }
        context.say(format!("{}: {} → {}", checkout.display(), short(&from), short(&to)));
        if !begun {
            if head != from {
                bail!("{}: somebody has moved it to {}", checkout.display(), short(&head));
            }
            state.begun.insert(checkout.clone());
            context.ledgers.journal().write(state)?;
        }
        if let Err(error) = context.git.switch(&checkout, &from, &to, begun).await {
            if let Some(Failure::Obstacles(_)) = error.downcast_ref::<Failure>() {
                // Nothing was changed there: what lies in the way must not be forced away on the way back.
                state.begun.remove(&checkout);
                context.ledgers.journal().write(state)?;
            }
            return Err(error).with_context(about);
        }
    }
    if let Some((uid, gid)) = context.settings.code_ownership {
        for checkout in state.moves.keys() {
            crate::git::give(checkout, uid, gid)
                .with_context(|| format!("failed to give {} to {uid}:{gid}", checkout.display()))?;
        }
    }
    Ok(())
}
