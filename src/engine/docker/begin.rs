//! Since when the engine process that answers has lived, and what it found at its begin.
//!
//! No call says so. But a process that begins makes its own network `bridge` anew, unless
//! containers outlive it (live-restore), which are then not interrupted either. Its events lie in its
//! memory only: those from before that network tell what it did with the leavings of a crash, which
//! it stops like any container (measured on 20.10 and 26.1).

use std::collections::{BTreeMap, HashMap};

use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptions, InspectNetworkOptions};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;

use super::{Docker, frames};
use crate::engine::{EngineError, EngineStart, Result};

/// The network that every engine makes for itself, unless it is told not to.
const OWN_NETWORK: &str = "bridge";

impl Docker {
    pub(super) async fn began(&self) -> Result<Option<EngineStart>> {
        let client = self.client().await?;
        let options = InspectNetworkOptions::default();
        let network = match client.inspect_network(OWN_NETWORK, Some(options)).await.map_err(|e| self.wrong(e)) {
            Ok(network) => network,
            Err(EngineError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(at) = network.created.as_deref().and_then(|text| DateTime::parse_from_rfc3339(text).ok()) else {
            return Ok(None);
        };
        let at = at.with_timezone(&Utc);
        let options = EventsOptions {
            since: Some(stamp(at - TimeDelta::days(1))),
            until: Some(stamp(at)),
            filters: Some(HashMap::from([
                ("type".to_owned(), vec!["container".to_owned()]),
                ("event".to_owned(), vec!["die".to_owned()]),
            ])),
        };
        let deaths: Vec<EventMessage> = client.events(Some(options)).try_collect().await.map_err(|e| self.wrong(e))?;
        let swept: BTreeMap<_, _> = deaths.into_iter().filter_map(death).collect();
        Ok(Some(EngineStart { at, swept }))
    }
}

fn stamp(at: DateTime<Utc>) -> String {
    frames::unix_time(at.timestamp_nanos_opt().unwrap_or_default())
}

fn death(event: EventMessage) -> Option<(String, DateTime<Utc>)> {
    Some((event.actor?.id?, DateTime::from_timestamp_nanos(event.time_nano?)))
}
