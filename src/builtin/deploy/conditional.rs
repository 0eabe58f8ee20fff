//! A repo's own word on whether its changes need a restart: `autodeploy/conditional-trigger`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::context::Context;
use crate::engine::{EngineError, Host};
use crate::git::TriggerFile;
use crate::job::{ContainerSpec, Mount, MountSource};
use crate::run::labels;
use crate::runner::container::hardened;
use crate::secret::Environment;

const LIMIT: Duration = Duration::from_secs(60);

/// Runs the script of the new revision in a container without socket and network. Exit 0 asks for
/// a deploy; so does a script that cannot be run or does not come to its end, because standing
/// still is the worse mistake.
///
/// # Errors
/// When the engine is not reachable.
pub async fn asks_for_deploy<H: Host>(
    context: &Context<H>,
    checkout: &Path,
    trigger: &TriggerFile,
    changed: &[(char, String)],
) -> Result<bool> {
    let files: String = changed.iter().map(|(status, path)| format!("{status}\t{path}\n")).collect();
    let base = hardened(&context.installation, &[]);
    let mut mounts = vec![Mount::same_path(checkout, true)];
    mounts.extend(base.mounts.iter().cloned().map(|mount| match mount.source {
        // The engine forbids programs in memory unless it is told otherwise.
        MountSource::Tmpfs(options) => Mount { source: MountSource::Tmpfs(format!("{options},exec")), ..mount },
        _ => mount,
    }));
    let spec = ContainerSpec {
        entrypoint: Some(vec!["/bin/sh".into(), "-c".into()]),
        // The text travels by the environment: nothing has to be written anywhere for it.
        command: vec![
            "printf '%s' \"$TENDER_TRIGGER\" >/tmp/trigger && chmod +x /tmp/trigger && exec /tmp/trigger".into(),
        ],
        env: Environment(
            [
                ("GIT_CHANGED_FILES".to_owned(), files),
                ("TENDER_TRIGGER".to_owned(), String::from_utf8_lossy(&trigger.content).into_owned()),
            ]
            .into(),
        ),
        mounts,
        workdir: Some(checkout.display().to_string()),
        labels: [
            (labels::STACK.to_owned(), context.settings.project.clone()),
            (labels::INSTANCE.to_owned(), context.installation.instance.clone()),
            (labels::ROLE.to_owned(), "trigger".to_owned()),
        ]
        .into(),
        ..base
    };
    let name = format!("tender-{}-trigger-{}", context.settings.project, context.run);
    match context.host.attach_once(&name, &spec, LIMIT, &mut |_, _| {}).await {
        Ok(code) => Ok(answer(code).unwrap_or_else(|| {
            context.say(format!(
                "WARNING: {}: its conditional trigger could not be run to its end (exit code {code}); deploying",
                checkout.display()
            ));
            true
        })),
        Err(error @ EngineError::Unavailable(_)) => Err(error).context("the conditional trigger could not be run"),
        Err(error) => {
            context.say(format!(
                "WARNING: {}: its conditional trigger could not be run ({error}); deploying",
                checkout.display()
            ));
            Ok(true)
        }
    }
}

/// What an exit code says. 126 and 127 are the shell's own (it cannot be run, its interpreter is not
/// there), from 128 on a signal ended it: that is no answer.
const fn answer(code: i64) -> Option<bool> {
    match code {
        0 => Some(true),
        1..=125 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn only_a_script_that_came_to_its_end_has_answered() {
        for (code, said) in
            [(0, Some(true)), (1, Some(false)), (125, Some(false)), (126, None), (127, None), (137, None)]
        {
            assert_eq!(answer(code), said, "{code}");
        }
    }
}
