//! Which files the stage holds: a commit's, those beside it on the disk, and rendered ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Stage;
use crate::builtin::deploy::context::Context;
use crate::builtin::deploy::rendering::in_place;
use crate::config::Template;
use crate::engine::Host;
use crate::job::{Mount, MountSource};
use crate::run::Verdict;

/// Untracked files up to this size are copied into the stage; larger ones and folders are mounted.
const COPY_LIMIT: u64 = 1 << 20;

impl Stage {
    /// Lays out one checkout.
    pub(super) async fn add<H: Host>(&mut self, context: &Context<H>, checkout: &Path, commit: &str) -> Result<()> {
        let number = self.trees.len().to_string();
        let tree = self.dir.join(&number);
        fs::create_dir_all(&tree)?;
        // The children that write here run as the owner of the checkout.
        let (uid, gid) = crate::git::owner(checkout)?;
        std::os::unix::fs::chown(&tree, Some(uid), Some(gid))?;
        context
            .git
            .materialise(checkout, commit, &tree)
            .await
            .with_context(|| format!("failed to lay out {}", checkout.display()))?;
        self.overlays.push(Mount::bind(self.on_host.join(&number), checkout, false));
        for entry in context.git.leftovers(checkout).await? {
            self.overlays.extend(carry_over(checkout, &tree, &entry)?);
        }
        self.trees.insert(checkout.to_owned(), tree);
        self.sort();
        Ok(())
    }

    /// Outer paths first: a mount hides what was mounted below it before.
    fn sort(&mut self) {
        self.overlays.sort_by_key(|m| m.target.components().count());
    }

    /// Renders templates in the stage; gives the files that had to be written for it.
    ///
    /// # Errors
    /// When a file cannot be written, or something else than a file is in its way.
    pub async fn render<H: Host>(&mut self, context: &Context<H>, templates: &[Template]) -> Result<BTreeSet<PathBuf>> {
        let mut written = BTreeSet::new();
        for template in templates {
            if self.place(context, template).await? {
                written.insert(template.target.clone());
            }
        }
        Ok(written)
    }

    /// Those of some rendered files that are not to be seen in the stage.
    pub fn unstaged<'a>(&'a self, of: &'a BTreeSet<PathBuf>) -> impl Iterator<Item = &'a PathBuf> {
        self.unstaged.intersection(of)
    }

    /// Puts one rendered file into the stage; tells whether it was another one before.
    async fn place<H: Host>(&mut self, context: &Context<H>, template: &Template) -> Result<bool> {
        let target = &template.target;
        let top = self.overlays.iter().rev().find(|overlay| target.starts_with(&overlay.target)).map(|o| &o.target);
        if let Some((checkout, tree)) = top.and_then(|top| self.trees.get_key_value(top)) {
            return crate::git::write_below(tree, &in_place(template, checkout))
                .with_context(|| format!("failed to render {} in the stage", template.source.display()));
        }
        // It lies where it is: there it is covered by a mount, or, where it is new, needs a stage.
        let bytes = template.text.expose();
        match fs::symlink_metadata(target) {
            Ok(found) if found.is_file() => {
                let known = self.rendered.get(target);
                let there = known.map_or_else(|| target.clone(), |name| self.dir.join(name));
                if fs::read(&there).with_context(|| format!("failed to read {}", there.display()))? == *bytes {
                    return Ok(false);
                }
                let name = known.cloned().unwrap_or_else(|| format!("rendered-{}", self.rendered.len()));
                crate::journal::replace(&self.dir.join(&name), bytes)?;
                if self.rendered.insert(target.clone(), name.clone()).is_none() {
                    self.overlays.push(Mount::bind(self.on_host.join(&name), target, true));
                    self.sort();
                    self.paths.push(template.dir.clone());
                }
                Ok(true)
            }
            _ => {
                let checkout = context.settings.checkouts.iter().find(|c| target.starts_with(c)).cloned();
                let checkout = checkout.filter(|c| !self.trees.contains_key(c) && c.join(".git").exists());
                let Some(checkout) = checkout else {
                    return Ok(self.unstaged.insert(target.clone()));
                };
                if context.git.look(&checkout).await.verdict.verdict == Verdict::Dirty {
                    return Ok(self.unstaged.insert(target.clone()));
                }
                let head = context.git.head(&checkout).await?;
                self.add(context, &checkout, &head).await?;
                Box::pin(self.place(context, template)).await
            }
        }
    }
}

/// Brings an untracked or ignored entry into the stage: configuration may read it.
fn carry_over(checkout: &Path, tree: &Path, entry: &Path) -> Result<Option<Mount>> {
    let (from, to) = (checkout.join(entry), tree.join(entry));
    let Ok(meta) = from.symlink_metadata() else { return Ok(None) };
    if to.symlink_metadata().is_ok() {
        return Ok(None); // tracked in the new revision: the switch will judge it
    }
    // A link of the new revision in its way would lead out of the stage.
    let is_link = |part: &Path| tree.join(part).symlink_metadata().is_ok_and(|found| !found.is_dir());
    if entry.ancestors().skip(1).any(is_link) || !entry.components().all(|c| matches!(c, Component::Normal(_))) {
        return Ok(None);
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if meta.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
        return Ok(None);
    }
    if meta.is_file() && meta.len() <= COPY_LIMIT {
        fs::copy(&from, &to).with_context(|| format!("failed to copy {}", from.display()))?;
        return Ok(None);
    }
    if meta.is_file() || meta.is_dir() {
        // The place to mount it at: the probe sees the stage read-only.
        if meta.is_dir() {
            fs::create_dir_all(&to)?;
        } else {
            fs::write(&to, "")?;
        }
        return Ok(Some(Mount {
            source: MountSource::Bind(from.clone()),
            target: from,
            read_only: true,
            options: vec![],
            create: false,
        }));
    }
    Ok(None) // sockets and pipes are no configuration
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_over() {
        let (checkout, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (c, t) = (checkout.path(), tree.path());
        fs::write(c.join("env.local"), "X=1").unwrap();
        fs::create_dir(c.join("data")).unwrap();
        fs::write(c.join("big"), vec![0; (COPY_LIMIT + 1) as usize]).unwrap();
        std::os::unix::fs::symlink("../private/env", c.join("link")).unwrap();
        fs::write(c.join("now-tracked"), "old").unwrap();
        fs::write(t.join("now-tracked"), "new").unwrap();
        for name in ["env.local", "link", "now-tracked", "gone"] {
            assert_eq!(carry_over(c, t, Path::new(name)).unwrap(), None, "{name}");
        }
        assert_eq!(fs::read_to_string(t.join("env.local")).unwrap(), "X=1");
        assert_eq!(fs::read_link(t.join("link")).unwrap(), Path::new("../private/env"));
        assert_eq!(fs::read_to_string(t.join("now-tracked")).unwrap(), "new");
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), t.join("conf")).unwrap();
        fs::create_dir(c.join("conf")).unwrap();
        fs::write(c.join("conf/x"), "1").unwrap();
        assert_eq!(carry_over(c, t, Path::new("conf/x")).unwrap(), None);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "a link is not followed");
        for name in ["data", "big"] {
            assert!(carry_over(c, t, Path::new(name)).unwrap().unwrap().read_only, "{name}");
        }
    }
}
