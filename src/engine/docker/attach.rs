//! One-shots that leave nothing behind, and commands in running containers.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::{AttachContainerOptions, RemoveContainerOptions};
use futures_util::{Stream, StreamExt};
use tokio::runtime::Handle;

use super::runs::plain;
use super::{Docker, frames};
use crate::engine::{Channel, Created, EngineError, Host, Result, Runs};
use crate::job::{ContainerSpec, ExecSpec};

/// Between two looks at a command whose streams are closed but which still runs.
const EXEC_POLL: Duration = Duration::from_millis(100);

impl Docker {
    pub(super) async fn one_shot(
        &self,
        name: &str,
        spec: &ContainerSpec,
        timeout: Duration,
        sink: &mut dyn FnMut(Channel, &[u8]),
    ) -> Result<i64> {
        let mut spec = spec.clone();
        spec.log_driver = Some("none".to_owned());
        spec.log_opts.clear();
        let id = match self.create(name, &spec).await? {
            Created::New(id) => id,
            Created::Taken(seen) => {
                return Err(EngineError::Conflict(format!("the name {name} is taken by container {}", seen.id)));
            }
        };
        let mut removal = Removal(Some((self.client().await?, id.clone())));
        let ended = tokio::time::timeout(timeout, self.attended(&id, sink)).await;
        let removed = self.remove(&id).await;
        removal.0 = None;
        let code = ended.unwrap_or_else(|_| {
            Err(EngineError::Other(format!("{name} did not end within {} s and was killed", timeout.as_secs())))
        })?;
        removed.map(|()| code)
    }

    /// Attaches before the start, so that the first byte is seen.
    async fn attended(&self, id: &str, sink: &mut dyn FnMut(Channel, &[u8])) -> Result<i64> {
        let options = AttachContainerOptions { stream: true, stdout: true, stderr: true, ..Default::default() };
        let attached = self.client().await?.attach_container(id, Some(options)).await.map_err(|e| self.wrong(e))?;
        self.start(id).await?;
        self.drain(attached.output, sink).await?;
        self.exit(id).await
    }

    pub(super) async fn prepare(&self, id: &str, spec: &ExecSpec) -> Result<String> {
        if !plain(id) {
            return Err(EngineError::NotFound(format!("{id:?} is no name of a container")));
        }
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            env: Some(spec.env.0.iter().map(|(k, v)| format!("{k}={v}")).collect()),
            cmd: Some(spec.command.clone()),
            privileged: Some(spec.privileged),
            user: spec.user.clone(),
            working_dir: spec.workdir.clone(),
            ..ExecConfig::default()
        };
        Ok(self.client().await?.create_exec(id, config).await.map_err(|e| self.wrong(e))?.id)
    }

    pub(super) async fn execute(&self, exec: &str, sink: &mut dyn FnMut(Channel, &[u8])) -> Result<i64> {
        let client = self.client().await?;
        let options = StartExecOptions { detach: false, tty: false, output_capacity: None };
        match client.start_exec(exec, Some(options)).await.map_err(|e| self.wrong(e))? {
            StartExecResults::Attached { output, input: _input } => self.drain(output, sink).await.map_err(midway)?,
            StartExecResults::Detached => {}
        }
        loop {
            match self.exec_look(exec).await {
                Ok(Some(code)) => return Ok(code),
                // It closed its streams and works on; the engine reports nothing when it ends.
                Ok(None) => tokio::time::sleep(EXEC_POLL).await,
                // It had begun: this engine is another process than the one that knew it.
                Err(EngineError::NotFound(why)) => return Err(EngineError::Unavailable(why)),
                Err(error) => return Err(midway(error)),
            }
        }
    }

    async fn drain(
        &self,
        mut output: impl Stream<Item = std::result::Result<LogOutput, Error>> + Unpin,
        sink: &mut dyn FnMut(Channel, &[u8]),
    ) -> Result<()> {
        while let Some(piece) = output.next().await {
            let (channel, bytes) = frames::piece(piece.map_err(|e| self.wrong(e))?)?;
            sink(channel, &bytes);
        }
        Ok(())
    }
}

/// What is said after a command has begun is no refusal of it, whatever it is about: its container
/// may have been removed meanwhile.
fn midway(error: EngineError) -> EngineError {
    match error {
        EngineError::Unavailable(_) | EngineError::Protocol(_) => error,
        error => EngineError::Protocol(format!("while a command ran: {error}")),
    }
}

/// Removes the container of a one-shot that is given up half-way.
struct Removal(Option<(bollard::Docker, String)>);

impl Drop for Removal {
    fn drop(&mut self) {
        let (Some((client, id)), Ok(runtime)) = (self.0.take(), Handle::try_current()) else { return };
        runtime.spawn(async move {
            let options = RemoveContainerOptions { v: true, force: true, link: false };
            if let Err(error) = client.remove_container(&id, Some(options)).await {
                tracing::warn!("failed to remove container {id}: {error}");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_said_of_a_command_that_runs_is_a_refusal() {
        let text = String::new;
        for error in [EngineError::NotFound(text()), EngineError::Conflict(text()), EngineError::Other(text())] {
            assert!(matches!(midway(error), EngineError::Protocol(_)));
        }
        assert!(matches!(midway(EngineError::Unavailable(text())), EngineError::Unavailable(_)));
    }
}
