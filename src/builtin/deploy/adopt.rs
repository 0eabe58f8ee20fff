//! The last good record: read, read back from its copy, or begun.

use anyhow::{Context as _, Result};
use chrono::Utc;

use super::context::Context;
use super::services;
use crate::engine::Host;
use crate::journal::deploy::Good;
use crate::run::RevisionVector;

/// Name of the record's copy in the git dir of the main checkout.
pub const COPY: &str = "deploy.json";

/// What is known about the stack before a deploy.
#[derive(Debug)]
pub enum Known {
    /// There is a record.
    Recorded(Good),
    /// There was none, and the stack has containers or volumes: what is there is last good now.
    Adopted {
        /// The record made of it.
        good: Good,
        /// It has volumes and no container: they are to be started.
        start: bool,
    },
    /// There was none, and nothing of the stack exists.
    New(Good),
}

impl Known {
    /// The record.
    pub const fn good(&self) -> &Good {
        match self {
            Self::Recorded(good) | Self::New(good) | Self::Adopted { good, .. } => good,
        }
    }
}

/// Finds the last good record: in the state dir, else its copy, else what is there is adopted.
///
/// # Errors
/// When the record is damaged, or the engine is needed and does not answer.
pub async fn last_good<H: Host>(context: &Context<H>) -> Result<Known> {
    let ledger = context.ledgers.good();
    if let Some(good) = ledger.read()? {
        return Ok(Known::Recorded(good));
    }
    if let Some(text) = copy(context).await? {
        match serde_json::from_slice::<Good>(&text) {
            Ok(good) => {
                context.say(format!("the state dir holds no deploy record; read back the copy of deploy {}", good.id));
                ledger.write(&good)?;
                return Ok(Known::Recorded(good));
            }
            Err(error) => {
                context.say(format!("WARNING: the copy of the deploy record is damaged and not used: {error}"))
            }
        }
    }
    let present = services::present(context).await?;
    let volumes = context.host.project_volumes(&context.settings.project).await?;
    let mut good = Good {
        id: format!("adopted-{}", Utc::now().format("%Y%m%dT%H%M%SZ")),
        at: Utc::now(),
        vector: RevisionVector::default(),
        images: services::images(&present),
        hashes: services::hashes(&present),
        compose_version: None,
        config: None,
        scheduler_behind: false,
    };
    let others = present.keys().filter(|name| *name != services::OWN).count();
    let own_volumes = |name: &String| name.ends_with("_tender-state");
    if others == 0 && volumes.iter().all(own_volumes) {
        return Ok(Known::New(good));
    }
    for checkout in context.settings.checkouts.iter().filter(|c| c.is_dir()) {
        if let Ok(head) = context.git.head(checkout).await {
            good.vector.0.insert(checkout.clone(), head);
        }
    }
    context.say(format!(
        "no deploy is on record, and the stack has {others} services and {} volumes: what is there is adopted as last good",
        volumes.len()
    ));
    ledger.write(&good)?;
    leave_copy(context, &good).await;
    Ok(Known::Adopted { good, start: others == 0 })
}

/// The copy of the record in the main checkout; a folder that is no checkout has none.
async fn copy<H: Host>(context: &Context<H>) -> Result<Option<Vec<u8>>> {
    if !crate::git::git_dir(context.main_checkout()).is_dir() {
        return Ok(None);
    }
    context.git.read_record(context.main_checkout(), COPY).await
}

/// What is known, without writing or saying anything: for a plan.
///
/// # Errors
/// When the record is damaged.
pub async fn peek<H: Host>(context: &Context<H>) -> Result<Known> {
    if let Some(good) = context.ledgers.good().read()? {
        return Ok(Known::Recorded(good));
    }
    if let Some(good) = copy(context).await?.and_then(|text| serde_json::from_slice::<Good>(&text).ok()) {
        return Ok(Known::Recorded(good));
    }
    Ok(Known::New(Good {
        id: "none".into(),
        at: Utc::now(),
        vector: RevisionVector::default(),
        images: Default::default(),
        hashes: Default::default(),
        compose_version: None,
        config: None,
        scheduler_behind: false,
    }))
}

/// Leaves a copy of the record where it survives the state dir. Failing is said, not fatal.
pub async fn leave_copy<H: Host>(context: &Context<H>, good: &Good) {
    let copy = async {
        let text = serde_json::to_vec_pretty(good)?;
        context.git.write_record(context.main_checkout(), COPY, &text).await.context("in the main checkout")
    };
    if let Err(error) = copy.await {
        context.say(format!("WARNING: no copy of the deploy record could be left: {error:#}"));
    }
}
