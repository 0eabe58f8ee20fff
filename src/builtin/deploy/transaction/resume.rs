//! Going on with a deploy that was cut off.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::Utc;

use super::{back_or_refuse, commit, finish, forward, refuse, settle, switch};
use crate::builtin::deploy::adopt::Known;
use crate::builtin::deploy::context::Context;
use crate::builtin::deploy::stage::{self};
use crate::builtin::deploy::{Ended, rendering, rollback};
use crate::engine::Host;
use crate::journal::deploy::{ATTEMPTS, DeployState, Good, Step};
use crate::run::DeployOutcome;

/// Goes on with a deploy that was cut off. `None`: nothing had been touched, begin again.
pub(super) async fn resume<H: Host>(context: &Context<H>, mut state: DeployState) -> Result<Option<Ended>> {
    state.attempts += 1;
    // Whatever happens here counts, or a deploy that always dies would be taken up at once for ever.
    context.ledgers.journal().write(&state)?;
    let known = match context.ledgers.good().read()? {
        Some(good) => Known::Recorded(good),
        None => Known::New(Good {
            id: "none".into(),
            at: state.started_at,
            vector: state.from.clone(),
            images: BTreeMap::new(),
            hashes: BTreeMap::new(),
            compose_version: None,
            config: None,
            scheduler_behind: false,
        }),
    };
    context.say(format!("deploy {} was cut off; going on with it (attempt {})", state.id, state.attempts));
    match state.step.clone() {
        Step::Target | Step::Staged if state.attempts >= ATTEMPTS => {
            let why = format!("it was cut off {} times before anything was touched", state.attempts - 1);
            refuse(context, &state, why).await.map(Some)
        }
        Step::Target | Step::Staged => {
            context.say("nothing had been touched; beginning again with the newest commits");
            rollback::restore_names(context, &state).await?;
            stage::clear(context)?;
            context.ledgers.journal().clear()?;
            Ok(None)
        }
        Step::Stuck { why } => {
            context.say(format!("ERROR: this deploy is stuck and waits for a person: {why}"));
            Ok(Some(Ended::Blocked(vec![format!("stuck: {why}")])))
        }
        Step::RollingBack { why } => {
            let record = rollback::roll_back(context, &mut state, known.good(), why).await?;
            Ok(Some(Ended::Recorded(Box::new(record))))
        }
        Step::Good => {
            let good = match known {
                Known::Recorded(good) if good.id == state.id => good,
                _ => return finish(context, state, known.good(), None).await.map(Some),
            };
            let previous = good.id.clone();
            settle(context, &state, &good, &previous).await.map(Some)
        }
        Step::Switching | Step::Switched | Step::Up | Step::Gating if state.attempts >= ATTEMPTS => {
            let why = format!("it was cut off {} times", state.attempts - 1);
            let record = rollback::roll_back(context, &mut state, known.good(), why).await?;
            Ok(Some(Ended::Recorded(Box::new(record))))
        }
        Step::Switching | Step::Switched | Step::Up | Step::Gating => {
            let update_only = state.services.is_empty();
            context.enter(&mut state, Step::Switching)?;
            if let Err(error) = switch(context, &mut state).await {
                return back_or_refuse(context, state, known.good(), &error).await.map(Some);
            }
            if update_only {
                let good =
                    Good { vector: state.to.clone(), at: Utc::now(), id: state.id.clone(), ..known.good().clone() };
                commit(context, &good).await?;
                let record = state.record(DeployOutcome::UpdateOnly, None);
                rollback::close(context, &record)?;
                return Ok(Some(Ended::Recorded(Box::new(record))));
            }
            let loaded = match rendering::again(context, &mut state).await {
                Ok(loaded) => loaded,
                Err(error) => return back_or_refuse(context, state, known.good(), &error).await.map(Some),
            };
            context.enter(&mut state, Step::Switched)?;
            forward(context, state, &known, &loaded, None).await.map(Some)
        }
    }
}
