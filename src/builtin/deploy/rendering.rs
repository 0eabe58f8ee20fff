//! Templates of a stack without a wrapper of its own: tried in the stage, written at the switch,
//! taken back on the way back. With a wrapper they are the wrapper's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::context::Context;
use super::stage::{self, Stage};
use crate::config::{Loaded, Template};
use crate::engine::Host;
use crate::git::{InPlace, Occupant};
use crate::journal::deploy::{Before, DeployState};

/// Permission bits that a new file may have at most.
const MODE: u32 = 0o644;

/// The templates that are Tender's to render.
pub fn ours(loaded: &Loaded) -> &[Template] {
    if loaded.wrapper.is_some() { &[] } else { &loaded.templates }
}

/// Reads the configuration of the stage and renders there, until both agree: what is rendered may
/// be a part of the configuration. Gives the files that differ from what lies in the checkouts.
///
/// # Errors
/// When the configuration cannot be read, a required variable is not set, or something that is not
/// a file lies where one is to be written. Nothing was touched.
pub async fn in_stage<H: Host>(context: &Context<H>, stage: &mut Stage) -> Result<(Loaded, BTreeSet<PathBuf>)> {
    let mut loaded = read(context, stage).await?;
    let mut staged = stage.render(context, ours(&loaded)).await?;
    if staged.iter().any(|path| is_configuration(path)) {
        loaded = read(context, stage).await?;
        staged = stage.render(context, ours(&loaded)).await?;
    }
    for path in stage.unstaged(&staged) {
        context.say(format!("  {} is new and lies in no checkout: it is not seen before the switch", path.display()));
    }
    let differing = differing(context, ours(&loaded)).await?;
    let differing = differing.into_iter().map(|(template, _)| template.target.clone()).collect();
    Ok((loaded, differing))
}

async fn read<H: Host>(context: &Context<H>, stage: &Stage) -> Result<Loaded> {
    complete(stage.configuration(context).await.context("the new configuration cannot be read")?)
}

/// Reads the configuration of the checkouts and renders it, after a switch that was cut off. What
/// was rendered may have been changed by a hook since, and stays as it is then.
///
/// # Errors
/// As [`in_stage`] and [`write`].
pub async fn again<H: Host>(context: &Context<H>, state: &mut DeployState) -> Result<Loaded> {
    let mut loaded = complete(stage::read_configuration(context, vec![], &[]).await?)?;
    if !state.hooks.is_empty() {
        return Ok(loaded);
    }
    write(context, state, &loaded).await?;
    if state.rendered.keys().any(|path| is_configuration(path)) {
        loaded = complete(stage::read_configuration(context, vec![], &[]).await?)?;
        write(context, state, &loaded).await?;
    }
    Ok(loaded)
}

fn complete(loaded: Loaded) -> Result<Loaded> {
    if loaded.wrapper.is_none() && !loaded.unset.is_empty() {
        let all: Vec<String> = loaded.unset.iter().map(ToString::to_string).collect();
        bail!("{}", all.join("; "));
    }
    Ok(loaded)
}

/// Whether a file may be read as configuration, by its name: compose files, job files, env files.
fn is_configuration(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".yml", ".yaml", ".env"].iter().any(|end| name.ends_with(end))
}

/// The templates whose text is not what lies in the checkouts, with what lies there.
///
/// # Errors
/// When something that is not a file is in the way.
pub async fn differing<'a, H: Host>(
    context: &Context<H>,
    templates: &'a [Template],
) -> Result<Vec<(&'a Template, Occupant)>> {
    let (mut differing, mut obstacles) = (Vec::new(), Vec::new());
    for (dir, templates) in by_dir(templates) {
        // Before the switch a new conf dir is not there yet.
        if !dir.is_dir() {
            differing.extend(templates.into_iter().map(|template| (template, Occupant::Nothing)));
            continue;
        }
        let paths: Vec<PathBuf> = templates.iter().map(|template| inside(dir, &template.target)).collect();
        for (template, found) in templates.into_iter().zip(context.git.occupants(dir, paths).await?) {
            match found {
                Ok(Occupant::File(bytes)) if bytes == *template.text.expose() => {}
                Ok(occupant) => differing.push((template, occupant)),
                Err(why) => obstacles.push(format!("{why} (made from {})", template.source.display())),
            }
        }
    }
    if !obstacles.is_empty() {
        bail!("templates cannot be rendered: {}", obstacles.join("; "));
    }
    Ok(differing)
}

/// Writes what differs, in place, as the owner of each checkout. What lay there is kept aside
/// before, so that the way back needs no template. Doing it again is fine.
///
/// # Errors
/// When a file cannot be kept aside or written.
pub async fn write<H: Host>(context: &Context<H>, state: &mut DeployState, loaded: &Loaded) -> Result<()> {
    let differing = differing(context, ours(loaded)).await?;
    if differing.is_empty() {
        return Ok(());
    }
    let aside = context.ledgers.aside();
    for (template, occupant) in &differing {
        // Seen before: what lies there now is our own.
        if state.rendered.contains_key(&template.target) {
            continue;
        }
        let kept = match occupant {
            Occupant::File(bytes) => {
                let name = format!("{}-{}", state.id, state.rendered.len());
                crate::journal::replace(&aside.join(&name), bytes)?;
                Some(name)
            }
            Occupant::Nothing | Occupant::EmptyFolder => None,
        };
        state.rendered.insert(template.target.clone(), Before { dir: template.dir.clone(), kept });
    }
    context.ledgers.journal().write(state)?;
    let names: Vec<String> = differing.iter().map(|(template, _)| template.target.display().to_string()).collect();
    context.say(format!("rendering {}", names.join(", ")));
    let mut files: BTreeMap<&Path, Vec<InPlace>> = BTreeMap::new();
    for (template, _) in &differing {
        files.entry(&template.dir).or_default().push(in_place(template, &template.dir));
    }
    for (dir, files) in files {
        for path in context.git.write_in_place(dir, files).await.context("failed to render")? {
            context.say(format!(
                "WARNING: git does not ignore {}, which is rendered: add it to .gitignore, or the next deploy finds \
                 the checkout dirty",
                dir.join(path).display()
            ));
        }
    }
    Ok(())
}

/// Puts back what lay there before, and removes what did not.
///
/// # Errors
/// When a file cannot be read back or written.
pub async fn take_back<H: Host>(context: &Context<H>, state: &DeployState) -> Result<()> {
    let mut files: BTreeMap<&Path, Vec<InPlace>> = BTreeMap::new();
    for (target, before) in &state.rendered {
        let bytes = match &before.kept {
            Some(name) => {
                let kept = context.ledgers.aside().join(name);
                Some(fs::read(&kept).with_context(|| format!("failed to read {}", kept.display()))?)
            }
            None => None,
        };
        files.entry(&before.dir).or_default().push(InPlace { path: inside(&before.dir, target), bytes, mode: MODE });
    }
    for (dir, files) in files {
        if dir.is_dir() {
            context.git.write_in_place(dir, files).await.context("failed to put rendered files back")?;
        }
    }
    Ok(())
}

/// The file that a template becomes, as seen from a folder around it.
pub fn in_place(template: &Template, folder: &Path) -> InPlace {
    InPlace {
        path: inside(folder, &template.target),
        bytes: Some(template.text.expose().clone()),
        mode: template.mode & MODE,
    }
}

fn by_dir(templates: &[Template]) -> BTreeMap<&Path, Vec<&Template>> {
    let mut dirs: BTreeMap<&Path, Vec<&Template>> = BTreeMap::new();
    for template in templates {
        dirs.entry(&template.dir).or_default().push(template);
    }
    dirs
}

fn inside(folder: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_owned()
}
