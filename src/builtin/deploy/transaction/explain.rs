//! What a deploy would do now, touching nothing.

use anyhow::Result;

use super::begin;
use super::staging::changed_files;
use crate::builtin::deploy::adopt::{self};
use crate::builtin::deploy::context::Context;
use crate::builtin::deploy::plan::plan;
use crate::builtin::deploy::stage::Stage;
use crate::builtin::deploy::target::{Target, decide};
use crate::builtin::deploy::{PlanDocument, look, rendering, services};
use crate::engine::{EngineError, Host};

/// What `tender plan` shows.
///
/// # Errors
/// When the state dir cannot be read or written.
pub async fn explain<H: Host>(context: &Context<H>) -> Result<PlanDocument> {
    let mut checkouts = Vec::new();
    for checkout in &context.settings.checkouts {
        checkouts.push(context.git.examine(checkout).await.verdict);
    }
    let mut blocked: Vec<String> = checkouts.iter().filter(|v| v.verdict.blocks()).map(look::sentence).collect();
    if let Err(EngineError::Unavailable(_)) = context.host.info().await {
        return Ok(PlanDocument { checkouts, services: None, rendered: vec![], blocked });
    }
    let known = adopt::peek(context).await?;
    let bad = context.ledgers.bad().read()?.unwrap_or_default();
    let moves = match decide(&checkouts, known.good(), &bad, context.settings.snapshot, true) {
        Target::Deploy(moves) | Target::UpdateOnly(moves) => moves,
        _ => return Ok(PlanDocument { checkouts, services: Some(vec![]), rendered: vec![], blocked }),
    };
    if let Some(bad) = bad.iter().find(|b| b.vector == moves.to && b.holds()) {
        blocked.push(format!("this vector was rolled back before: {}", bad.why.lines().next().unwrap_or_default()));
    }
    let mut state = begin(known.good(), &moves, 1);
    state.id = format!("plan-{}", context.run);
    let planned = async {
        let mut stage = Stage::lay_out(context, &state).await?;
        let answer = async {
            let (loaded, rendered) = rendering::in_stage(context, &mut stage).await?;
            anyhow::Ok((stage.compose(context, &loaded, vec![], vec![]).await?, rendered))
        };
        let answer = answer.await;
        stage.remove()?;
        let (answer, rendered) = answer?;
        let present = services::present(context).await?;
        let mut wanted = services::wanted(context, &answer).await?;
        // Nothing is built for a plan: an image that a build would replace counts as changed when
        // files of the checkouts changed.
        let mut changed = changed_files(context, known.good(), &state.to).await?;
        changed.extend(rendered.iter().cloned());
        for (name, service) in answer.services.iter().filter(|(_, s)| s.builds) {
            if changed.iter().any(|f| service.contexts.iter().any(|c| f.starts_with(c)))
                && let Some(wanted) = wanted.get_mut(name)
            {
                wanted.image_id = Some("to be built".into());
            }
        }
        let services = plan(&wanted, &services::in_plan_terms(&present), &changed, services::OWN);
        anyhow::Ok((services, rendered))
    };
    match planned.await {
        Ok((services, rendered)) => {
            Ok(PlanDocument { checkouts, services: Some(services), rendered: rendered.into_iter().collect(), blocked })
        }
        Err(error) => {
            blocked.push(format!("{error:#}"));
            Ok(PlanDocument { checkouts, services: None, rendered: vec![], blocked })
        }
    }
}
