//! What is needed beyond the life of one container.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{ListVolumesOptions, LogsOptions, RenameContainerOptions};
use futures_util::StreamExt;

use super::{Docker, frames, me};
use crate::engine::{Channel, EngineError, Host, Me, Result, Runs, Seen};
use crate::job::{ContainerSpec, ExecSpec};

/// Label in which compose keeps the project.
const PROJECT: &str = "com.docker.compose.project";

impl Host for Docker {
    async fn me(&self) -> Result<Option<Me>> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        match me::own_id(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup")) {
            Some(id) => Ok(self.look(&id).await?.map(|seen| Me { seen })),
            None => Ok(None),
        }
    }

    async fn attach_once(
        &self,
        name: &str,
        spec: &ContainerSpec,
        timeout: Duration,
        sink: &mut dyn FnMut(Channel, &[u8]),
    ) -> Result<i64> {
        self.one_shot(name, spec, timeout, sink).await
    }

    async fn exec_create(&self, id_or_name: &str, spec: &ExecSpec) -> Result<String> {
        self.prepare(id_or_name, spec).await
    }

    async fn exec_start(&self, exec: &str, sink: &mut dyn FnMut(Channel, &[u8])) -> Result<i64> {
        self.execute(exec, sink).await
    }

    async fn exec_look(&self, exec: &str) -> Result<Option<i64>> {
        let state = self.client().await?.inspect_exec(exec).await.map_err(|e| self.wrong(e))?;
        match (state.running, state.exit_code) {
            (Some(true), _) => Ok(None),
            (_, Some(code)) => Ok(Some(code)),
            (_, None) => Err(EngineError::NotFound("the command has not begun".to_owned())),
        }
    }

    async fn project(&self, project: &str) -> Result<Vec<Seen>> {
        let mut found = Vec::new();
        for id in self.list(&[(PROJECT, project)]).await? {
            found.extend(self.look(&id).await?);
        }
        Ok(found)
    }

    async fn project_volumes(&self, project: &str) -> Result<Vec<String>> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("{PROJECT}={project}")])]);
        let options = ListVolumesOptions { filters: Some(filters) };
        let answer = self.client().await?.list_volumes(Some(options)).await.map_err(|e| self.wrong(e))?;
        let mut names: Vec<String> = answer.volumes.unwrap_or_default().into_iter().map(|v| v.name).collect();
        names.sort();
        Ok(names)
    }

    async fn has_volume(&self, name: &str) -> Result<bool> {
        match self.client().await?.inspect_volume(name).await.map_err(|e| self.wrong(e)) {
            Ok(_) => Ok(true),
            Err(EngineError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn rename(&self, id: &str, name: &str) -> Result<()> {
        let options = RenameContainerOptions { name: name.to_owned() };
        self.client().await?.rename_container(id, options).await.map_err(|e| self.wrong(e))
    }

    async fn image_id(&self, image: &str) -> Result<Option<String>> {
        self.local_image(image).await
    }

    async fn image_tag(&self, image: &str, name: &str) -> Result<()> {
        self.tag(image, name).await
    }

    async fn image_untag(&self, name: &str) -> Result<()> {
        self.untag(name).await
    }

    async fn image_names(&self, prefix: &str) -> Result<Vec<String>> {
        self.names(prefix).await
    }

    async fn tail(&self, id: &str, lines: usize) -> Result<String> {
        let options = LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), ..LogsOptions::default() };
        let client = self.client().await?;
        let mut pieces = Box::pin(client.logs(id, Some(options)));
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            bytes.extend(frames::piece(piece.map_err(|e| self.wrong(e))?)?.1);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
