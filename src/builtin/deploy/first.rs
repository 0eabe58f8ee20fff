//! `deploy.yml`: the steps of a very first deploy.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::context::{Context, STOPPED};
use super::up;
use crate::config::Loaded;
use crate::engine::Host;

/// A `deploy.yml`, as far as this version knows it; anything else in it is refused, so that no step
/// is passed over in silence.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeployFile {
    #[serde(default)]
    steps: Steps,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Steps {
    #[serde(default)]
    first_deploy: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Step {
    service_run: String,
    command: Vec<String>,
}

fn read(loaded: &Loaded) -> Result<Vec<Step>> {
    let mut all = Vec::new();
    for (path, text) in &loaded.deploy_files {
        let file: DeployFile = serde_saphyr::from_str(text).with_context(|| {
            format!(
                "{}: this version knows `steps: {{first_deploy: [{{service-run: …, command: […]}}]}}`",
                path.display()
            )
        })?;
        all.extend(file.steps.first_deploy);
    }
    Ok(all)
}

/// Refuses files that this version cannot carry out.
///
/// # Errors
/// Names the file, the place and what is known.
pub fn check(loaded: &Loaded) -> Result<()> {
    read(loaded).map(|_| ())
}

/// Runs the steps of a first deploy, each in a one-off container of its service.
///
/// # Errors
/// When a step ends with another code than 0.
pub async fn steps<H: Host>(context: &Context<H>, loaded: &Loaded) -> Result<()> {
    for step in read(loaded)? {
        if context.stop.is_set() {
            bail!(STOPPED);
        }
        context.say(format!("first deploy: {} in a container of {}", step.command.join(" "), step.service_run));
        let mut say = |line: &str| context.say(format!("  {line}"));
        up::compose(loaded)
            .run(&step.service_run, &step.command, &mut say)
            .await
            .with_context(|| format!("the first-deploy step {:?} failed", step.command.join(" ")))?;
    }
    Ok(())
}
