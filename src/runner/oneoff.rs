//! The container of a service-run: what the last good deploy has kept of the configuration, the
//! service's image, and what it shares with the containers of other services.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::LocalBoxFuture;

use super::Room;
use super::container::{asker, limited};
use crate::compose::oneoff::SERVICE;
use crate::compose::{OneOff, Resolved, label};
use crate::engine::{Channel, EngineError, Host, Life};
use crate::job::{ContainerSpec, ServiceRun};
use crate::journal::deploy::{Good, Ledgers};
use crate::run::{RunId, labels};

/// How long compose may take to say what the configuration is.
const LIMIT: Duration = Duration::from_secs(120);

/// More than this a configuration cannot be.
const MOST: usize = 64 << 20;

/// Who knows what the services of the stack are made of.
pub trait Services {
    /// As [`container`].
    fn one_off<'a>(
        &'a self,
        run: &'a ServiceRun,
        room: &'a Room,
    ) -> LocalBoxFuture<'a, Result<(ContainerSpec, Vec<String>)>>;
}

impl<H: Host> Services for H {
    fn one_off<'a>(
        &'a self,
        run: &'a ServiceRun,
        room: &'a Room,
    ) -> LocalBoxFuture<'a, Result<(ContainerSpec, Vec<String>)>> {
        Box::pin(container(self, run, room))
    }
}

/// The container that a job's service-run asks for, and what it goes without.
///
/// # Errors
/// When there is no such service, something that it needs is not there, or the engine does not
/// answer ([`EngineError::Unavailable`] is in the chain then).
pub async fn container<H: Host>(host: &H, run: &ServiceRun, room: &Room) -> Result<(ContainerSpec, Vec<String>)> {
    let kept = kept(&room.settings.state_dir).await?;
    let (good, resolved) = match kept {
        Some((good, resolved)) => (Some(good), resolved),
        None => (
            None,
            ask(host, room)
                .await
                .context("no deploy has kept the configuration, and compose cannot be asked for it")?,
        ),
    };
    let project = &room.settings.project;
    let OneOff { mut spec, images, builds, volumes, remarks } = resolved.one_off(run, project)?;
    spec.image = image(host, &run.service, good.as_ref(), &images, builds, project).await?;
    for volume in volumes {
        ensure!(
            host.has_volume(&volume).await?,
            "the volume {volume} does not exist; `docker compose up` makes it as the service wants it"
        );
    }
    share(host, &mut spec, project).await?;
    spec.labels.insert(labels::ONEOFF.to_owned(), run.service.clone());
    Ok((limited(spec, &room.settings), remarks))
}

/// Names of the services that the last good deploy knows; `None` where it has kept nothing.
pub fn known_services(state_dir: &Path) -> Option<Vec<String>> {
    let (_, resolved) = read(state_dir).ok()??;
    Some(resolved.services().map(str::to_owned).collect())
}

async fn kept(state_dir: &Path) -> Result<Option<(Good, Resolved)>> {
    let state_dir = state_dir.to_owned();
    tokio::task::spawn_blocking(move || read(&state_dir)).await?
}

/// The record and the configuration are of one deploy: that is what the record says.
fn read(state_dir: &Path) -> Result<Option<(Good, Resolved)>> {
    let ledgers = Ledgers::below(state_dir);
    // A deploy may end between the two.
    for _ in 0..3 {
        let Some(good) = ledgers.good().read()? else { return Ok(None) };
        let Some(deploy) = &good.config else { return Ok(None) };
        if let Some(resolved) = ledgers.config(deploy).read()? {
            return Ok(Some((good, resolved)));
        }
    }
    Ok(None)
}

/// Asks compose about the checkouts as they are, in a container that has nothing but them.
async fn ask<H: Host>(host: &H, room: &Room) -> Result<Resolved> {
    let mut spec = asker(room);
    let name = format!("tender-{}-config-{}", room.settings.project, RunId::random());
    loop {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut sink = |channel: Channel, bytes: &[u8]| {
            let (side, most) = if channel == Channel::Out { (&mut out, MOST) } else { (&mut err, 1 << 16) };
            if side.len() < most {
                side.extend_from_slice(bytes);
            }
        };
        match host.attach_once(&name, &spec, LIMIT, &mut sink).await {
            Ok(0) => return serde_json::from_slice(&out).context("the answer cannot be understood"),
            Ok(code) => bail!("it ended with {code}: {}", String::from_utf8_lossy(&err).trim()),
            Err(EngineError::Other(why)) => {
                let Some(at) = spec.optional.iter().position(|path| super::probe::names(&why, path)) else {
                    bail!("its container could not be started: {why}");
                };
                let path: PathBuf = spec.optional.remove(at);
                spec.mounts.retain(|mount| mount.target != path);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The image that serves: that of the last good deploy, else the one that the service's container
/// has, else the one that the configuration names.
async fn image<H: Host>(
    host: &H,
    service: &str,
    good: Option<&Good>,
    names: &[String],
    builds: bool,
    project: &str,
) -> Result<String> {
    if let Some(id) = good.and_then(|good| good.images.get(service))
        && host.image_id(id).await?.is_some()
    {
        return Ok(id.clone());
    }
    let containers = host.project(project).await?;
    let own = |labels: &label::Labels| label::service_of(labels) == Some(service) && !label::is_oneoff(labels);
    let serving = containers.iter().filter(|seen| own(&seen.labels)).max_by_key(|seen| seen.life == Life::Running);
    if let Some(seen) = serving.filter(|_| good.is_none()) {
        return Ok(seen.image.clone());
    }
    for name in names {
        if host.image_id(name).await?.is_some() {
            return Ok(name.clone());
        }
    }
    match names.first() {
        Some(name) if !builds => Ok(name.clone()),
        Some(name) => bail!("the image {name} of the service {service} is not here; a deploy builds it"),
        None => bail!("the service {service} names no image"),
    }
}

/// Names of services, where it shares something with their containers, become ids of these.
async fn share<H: Host>(host: &H, spec: &mut ContainerSpec, project: &str) -> Result<()> {
    let named = |text: &str| text.strip_prefix(SERVICE).map(str::to_owned);
    let shared = spec.networks.iter().chain(&spec.pid).chain(&spec.ipc).chain(&spec.volumes_from);
    if !shared.into_iter().any(|text| named(text).is_some()) {
        return Ok(());
    }
    let containers = host.project(project).await?;
    let id = |service: &str, running: bool| -> Result<String> {
        let own = |labels: &label::Labels| label::service_of(labels) == Some(service) && !label::is_oneoff(labels);
        let found = containers
            .iter()
            .filter(|seen| own(&seen.labels) && (!running || seen.life == Life::Running))
            .min_by_key(|seen| label::number_of(&seen.labels));
        match found {
            Some(seen) => Ok(seen.id.clone()),
            None => bail!(
                "the service {service}, whose container it shares, does not run; `docker compose up -d {service}` starts it"
            ),
        }
    };
    for text in spec.networks.iter_mut().chain(&mut spec.pid).chain(&mut spec.ipc) {
        if let Some(service) = named(text) {
            *text = format!("container:{}", id(&service, true)?);
        }
    }
    for text in &mut spec.volumes_from {
        if let Some(rest) = named(text) {
            let (service, mode) = rest.split_once(':').map_or((rest.as_str(), None), |(s, mode)| (s, Some(mode)));
            let mode = mode.map(|mode| format!(":{mode}")).unwrap_or_default();
            *text = format!("{}{mode}", id(service, false)?);
        }
    }
    Ok(())
}
