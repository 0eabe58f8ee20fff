//! Images: pulling by policy, names.

use std::time::Duration;

use bollard::query_parameters::{CreateImageOptions, ListImagesOptions, RemoveImageOptions, TagImageOptions};
use futures_util::StreamExt;

use super::Docker;
use crate::engine::{EngineError, Image, Result};
use crate::job::PullPolicy;

/// For how long `daily` is content with a pull.
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Docker {
    pub(super) async fn image(&self, image: &str, pull: PullPolicy) -> Result<Image> {
        let local = self.local_image(image).await?;
        let pull = match pull {
            PullPolicy::Daily if self.pulled(image).is_some_and(|at| at.elapsed() < DAY) => PullPolicy::Missing,
            other => other,
        };
        match (local, pull) {
            (Some(id), PullPolicy::Missing | PullPolicy::Never) => Ok(Image { id, warning: None }),
            (None, PullPolicy::Never) => {
                Err(EngineError::NotFound(format!("image {image} is not here, and is never pulled")))
            }
            (local, PullPolicy::Missing | PullPolicy::Always | PullPolicy::Daily) => {
                match (self.pull(image).await, local) {
                    (Ok(()), _) => match self.local_image(image).await? {
                        Some(id) => Ok(Image { id, warning: None }),
                        None => Err(EngineError::NotFound(format!("image {image} was pulled and is not here"))),
                    },
                    (Err(error @ EngineError::Unavailable(_)), _) | (Err(error), None) => Err(error),
                    (Err(error), Some(id)) => {
                        let warning = format!("image {image} could not be pulled, the local one serves: {error}");
                        Ok(Image { id, warning: Some(warning) })
                    }
                }
            }
        }
    }

    pub(super) async fn local_image(&self, image: &str) -> Result<Option<String>> {
        checked(image)?;
        match self.client().await?.inspect_image(image).await.map_err(|e| self.wrong(e)) {
            Ok(answer) => Ok(answer.id),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn pull(&self, image: &str) -> Result<()> {
        if image.starts_with("sha256:") {
            return Err(EngineError::NotFound(format!("image {image} is not here, and an id cannot be pulled")));
        }
        let credentials = self.logins().login(image).map_err(EngineError::Other)?;
        // Without a tag the engine would pull all tags.
        let options = CreateImageOptions { from_image: Some(with_tag(image)), ..CreateImageOptions::default() };
        let client = self.client().await?;
        let mut progress = client.create_image(Some(options), None, credentials);
        while let Some(step) = progress.next().await {
            step.map_err(|e| self.wrong(e))?;
        }
        self.note_pull(image);
        Ok(())
    }

    pub(super) async fn tag(&self, image: &str, name: &str) -> Result<()> {
        checked(image)?;
        let (repository, tag) = split(name);
        let options = TagImageOptions { repo: Some(repository.to_owned()), tag: tag.map(str::to_owned) };
        self.client().await?.tag_image(image, Some(options)).await.map_err(|e| self.wrong(e))
    }

    pub(super) async fn untag(&self, name: &str) -> Result<()> {
        checked(name)?;
        let client = self.client().await?;
        match client.remove_image(name, None::<RemoveImageOptions>, None).await.map_err(|e| self.wrong(e)) {
            Ok(_) | Err(EngineError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let images = self.client().await?.list_images(None::<ListImagesOptions>).await.map_err(|e| self.wrong(e))?;
        let mut names: Vec<String> = images.into_iter().flat_map(|i| i.repo_tags).collect();
        names.retain(|name| name.starts_with(prefix) && name != "<none>:<none>");
        names.sort();
        Ok(names)
    }
}

/// Repository and tag; the last colon after the last slash divides them.
fn split(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

fn with_tag(image: &str) -> String {
    if image.contains('@') || split(image).1.is_some() { image.to_owned() } else { format!("{image}:latest") }
}

/// Refuses what would become another path of the API.
fn checked(image: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if image.is_empty() || image.starts_with(['/', '.']) || image.contains("..") || !image.chars().all(good) {
        return Err(EngineError::NotFound(format!("{image:?} is no name of an image")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags() {
        for (name, tagged) in [
            ("busybox", "busybox:latest"),
            ("busybox:1", "busybox:1"),
            ("host:5000/a/b", "host:5000/a/b:latest"),
            ("host:5000/a/b:c", "host:5000/a/b:c"),
            ("a@sha256:00", "a@sha256:00"),
        ] {
            assert_eq!(with_tag(name), tagged);
        }
        assert_eq!(split("host:5000/a"), ("host:5000/a", None));
    }

    #[test]
    fn what_is_no_name_never_reaches_the_engine() {
        for name in ["", "../x", "a/../../containers", "a?b", "a b", "/x"] {
            assert!(checked(name).is_err(), "{name}");
        }
        assert!(checked("docker.io/library/busybox:1.36-glibc@sha256:ab").is_ok());
    }
}
