//! The life of one container.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::NetworkConnectRequest;
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, RemoveContainerOptions, StopContainerOptions, WaitContainerOptions,
};
use futures_util::{Stream, StreamExt};

use super::logins::Logins;
use super::{Docker, create, seen};
use crate::engine::{Created, EngineError, EngineInfo, EngineStart, Frame, Image, Result, Runs, Seen};
use crate::job::{ContainerSpec, PullPolicy};
use crate::secret::Secret;

/// How much longer than the grace the answer to a stop may take.
const STOP_MARGIN: Duration = Duration::from_secs(60);

impl Runs for Docker {
    fn set_logins(&self, text: Option<Secret<String>>) {
        self.hold_logins(text.map_or(Logins::None, Logins::Text));
    }

    async fn info(&self) -> Result<EngineInfo> {
        let client = self.client().await?;
        let info = client.info().await.map_err(|e| self.wrong(e))?;
        let version = client.client_version();
        Ok(EngineInfo {
            id: info.id.unwrap_or_default(),
            version: info.server_version.unwrap_or_default(),
            api: format!("{}.{}", version.major_version, version.minor_version),
            data_root: info.docker_root_dir.unwrap_or_default().into(),
        })
    }

    async fn ensure_image(&self, image: &str, pull: PullPolicy) -> Result<Image> {
        self.image(image, pull).await
    }

    async fn create(&self, name: &str, spec: &ContainerSpec) -> Result<Created> {
        let client = self.client().await?;
        let version = client.client_version();
        if spec.mac_address.is_some() && (version.major_version, version.minor_version) < (1, 44) {
            return Err(EngineError::Other("mac-address needs engine 25 or newer".to_owned()));
        }
        let body = create::body(spec)?;
        if let Some(ends) = self.ends() {
            ends.listen(&client);
        }
        // A second round for a name whose container went away between the refusal and the look.
        for _ in 0..2 {
            let options = CreateContainerOptions {
                name: Some(name.to_owned()),
                platform: spec.platform.clone().unwrap_or_default(),
            };
            match client.create_container(Some(options), body.clone()).await {
                Ok(answer) => {
                    if spec.networks.len() <= 1 {
                        self.complete().insert(answer.id.clone());
                    }
                    return Ok(Created::New(answer.id));
                }
                Err(error) => match self.wrong(error) {
                    EngineError::Conflict(_) => {}
                    error => return Err(error),
                },
            }
            if let Some(seen) = self.look(name).await? {
                return Ok(Created::Taken(Box::new(seen)));
            }
        }
        Err(EngineError::Conflict(format!("the name {name} is taken by a container that cannot be inspected")))
    }

    async fn start(&self, id: &str) -> Result<()> {
        let client = self.client().await?;
        // The label of one that was created before says which networks it lacks.
        let complete = self.complete().remove(id);
        if !complete && let Some(seen) = self.look(id).await? {
            self.join_further_networks(&client, &seen).await?;
        }
        if let Some(ends) = self.ends() {
            ends.expect(id);
        }
        client.start_container(id, None).await.map_err(|e| self.wrong(e))
    }

    async fn look(&self, id_or_name: &str) -> Result<Option<Seen>> {
        if !plain(id_or_name) {
            return Ok(None);
        }
        match self.client().await?.inspect_container(id_or_name, None).await.map_err(|e| self.wrong(e)) {
            Ok(answer) => seen::seen(answer).map(Some),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, labels: &[(&str, &str)]) -> Result<Vec<String>> {
        let wanted = labels.iter().map(|(k, v)| if v.is_empty() { (*k).to_owned() } else { format!("{k}={v}") });
        let filters = HashMap::from([("label".to_owned(), wanted.collect())]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        let found = self.client().await?.list_containers(Some(options)).await.map_err(|e| self.wrong(e))?;
        Ok(found.into_iter().filter_map(|c| c.id).collect())
    }

    fn output(&self, id: &str, since_ns: i64) -> impl Stream<Item = Result<Frame>> {
        self.follow(id, since_ns)
    }

    fn log(&self, id: &str, since_ns: i64) -> impl Stream<Item = Result<Frame>> {
        self.pass(id, since_ns)
    }

    async fn ended(&self, id: &str) -> Option<i64> {
        self.ends()?.of(id).await
    }

    async fn exit(&self, id: &str) -> Result<i64> {
        let client = self.client().await?;
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let mut answers = Box::pin(client.wait_container(id, Some(options)));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(self.wrong(error)),
            None => Err(self.wrong(broken_off())),
        }
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        let client = self.client().await?.with_timeout(grace.saturating_add(STOP_MARGIN));
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let options = StopContainerOptions {
            t: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            ..StopContainerOptions::default()
        };
        client.stop_container(id, Some(options)).await.map_err(|e| self.wrong(e))
    }

    async fn remove(&self, id: &str) -> Result<()> {
        self.complete().remove(id);
        if let Some(ends) = self.ends() {
            ends.forget(id);
        }
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        match self.client().await?.remove_container(id, Some(options)).await.map_err(|e| self.wrong(e)) {
            Ok(()) | Err(EngineError::NotFound(_)) => Ok(()),
            Err(EngineError::Conflict(why)) if why.contains("already in progress") => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn begun(&self) -> Result<Option<EngineStart>> {
        self.began().await
    }
}

impl Docker {
    async fn join_further_networks(&self, client: &bollard::Docker, seen: &Seen) -> Result<()> {
        let Some(label) = seen.labels.get(create::NETWORKS_LABEL) else { return Ok(()) };
        for (network, endpoint) in create::further_networks(label) {
            if !plain(&network) || seen.networks.contains(&network) {
                continue;
            }
            let request = NetworkConnectRequest { container: seen.id.clone(), endpoint_config: Some(endpoint) };
            client.connect_network(&network, request).await.map_err(|e| self.wrong(e))?;
        }
        Ok(())
    }
}

/// Whether a name can be put into the path of a request; others name nothing.
pub(super) fn plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

pub(super) fn broken_off() -> Error {
    Error::IOError { err: std::io::ErrorKind::UnexpectedEof.into() }
}
