//! What a deploy will do to each service, and why. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::run::{ServiceAction, ServicePlan};

/// A service as the new configuration wants it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// Compose's config hash.
    pub hash: String,
    /// Name of its image.
    pub image: String,
    /// Id of the image of that name now.
    pub image_id: Option<String>,
    /// Host paths that it mounts, and files that its configuration reads.
    pub sources: Vec<PathBuf>,
    /// Started only on request (a profile that is not active).
    pub inactive: bool,
}

/// A container of a service as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Compose's config hash on its label.
    pub hash: Option<String>,
    /// Id of its image.
    pub image_id: String,
    /// Running, or ended as it should (a one-shot with exit code 0).
    pub up: bool,
}

/// Compares what is wanted with what is there. `changed` are the files that differ between the
/// vector that serves and the one that is to come. `own` is the service that Tender itself runs as.
pub fn plan(
    wanted: &BTreeMap<String, Wanted>,
    present: &BTreeMap<String, Vec<Present>>,
    changed: &BTreeSet<PathBuf>,
    own: &str,
) -> Vec<ServicePlan> {
    let mut plans: Vec<ServicePlan> = wanted
        .iter()
        .filter(|(name, wanted)| !wanted.inactive || present.contains_key(*name))
        .map(|(name, wanted)| {
            let there = present.get(name).map(Vec::as_slice).unwrap_or_default();
            let (mut action, mut why, force) = decide(wanted, there, changed);
            if name == own {
                why = if action == ServiceAction::Keep {
                    "as it is".into()
                } else {
                    format!("the scheduler is behind: {why}")
                };
                action = ServiceAction::LeaveOut;
            }
            ServicePlan { name: name.clone(), action, why, force: force && name != own }
        })
        .collect();
    for name in present.keys().filter(|name| !wanted.contains_key(*name)) {
        plans.push(ServicePlan {
            name: name.clone(),
            action: ServiceAction::Orphan,
            why: "no longer in the configuration".into(),
            force: false,
        });
    }
    plans
}

fn decide(wanted: &Wanted, there: &[Present], changed: &BTreeSet<PathBuf>) -> (ServiceAction, String, bool) {
    if there.is_empty() {
        return (ServiceAction::Create, "it has no container yet".into(), false);
    }
    if there.iter().any(|c| c.hash.as_deref() != Some(&wanted.hash)) {
        return (ServiceAction::Recreate, "its configuration changed".into(), false);
    }
    if let Some(id) = &wanted.image_id
        && there.iter().any(|c| &c.image_id != id)
    {
        return (ServiceAction::Recreate, "its image changed".into(), false);
    }
    if let Some(source) = changed.iter().find(|file| wanted.sources.iter().any(|s| covers(s, file))) {
        return (ServiceAction::Recreate, format!("{} changed, which it mounts or reads", source.display()), true);
    }
    if there.iter().any(|c| !c.up) {
        return (ServiceAction::Start, "it does not run".into(), false);
    }
    (ServiceAction::Keep, "as it is".into(), false)
}

fn covers(source: &Path, file: &Path) -> bool {
    file.starts_with(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            hash: "h1".into(),
            image: "app".into(),
            image_id: Some("i1".into()),
            sources: vec!["/srv/stack/nginx.conf".into(), "/srv/stack/html".into()],
            inactive: false,
        }
    }

    fn present() -> Present {
        Present { hash: Some("h1".into()), image_id: "i1".into(), up: true }
    }

    fn one(wanted: Wanted, there: Vec<Present>, changed: &[&str]) -> ServicePlan {
        let there = if there.is_empty() { BTreeMap::new() } else { [("web".to_owned(), there)].into() };
        plan(&[("web".to_owned(), wanted)].into(), &there, &changed.iter().map(PathBuf::from).collect(), "scheduler")
            .remove(0)
    }

    #[test]
    fn every_reason_has_its_action() {
        use ServiceAction::*;
        assert_eq!(one(wanted(), vec![], &[]).action, Create);
        assert_eq!(one(wanted(), vec![present()], &[]).action, Keep);
        assert_eq!(one(wanted(), vec![present()], &["/srv/stack/README.md"]).action, Keep);
        assert_eq!(one(wanted(), vec![Present { hash: None, ..present() }], &[]).action, Recreate);
        assert_eq!(
            one(wanted(), vec![present(), Present { image_id: "i0".into(), ..present() }], &[]).action,
            Recreate
        );
        assert_eq!(one(wanted(), vec![Present { up: false, ..present() }], &[]).action, Start);
        let by_content = one(wanted(), vec![present()], &["/srv/stack/html/index.html"]);
        assert_eq!((by_content.action, by_content.force), (Recreate, true));
        assert!(!one(wanted(), vec![Present { hash: None, ..present() }], &["/srv/stack/nginx.conf"]).force);
    }

    #[test]
    fn a_prefix_of_a_name_is_not_a_parent() {
        assert_eq!(one(wanted(), vec![present()], &["/srv/stack/html2/x"]).action, ServiceAction::Keep);
    }

    #[test]
    fn the_scheduler_is_left_out_and_orphans_are_named() {
        let all = plan(
            &[("scheduler".to_owned(), wanted())].into(),
            &[("scheduler".to_owned(), vec![Present { hash: None, ..present() }]), ("old".to_owned(), vec![present()])]
                .into(),
            &BTreeSet::new(),
            "scheduler",
        );
        assert_eq!(all[0].action, ServiceAction::LeaveOut);
        assert!(all[0].why.contains("behind"));
        assert_eq!(all[1].action, ServiceAction::Orphan);
    }

    #[test]
    fn an_inactive_profile_is_no_service_to_create() {
        assert!(
            plan(
                &[("debug".to_owned(), Wanted { inactive: true, ..wanted() })].into(),
                &BTreeMap::new(),
                &BTreeSet::new(),
                "scheduler"
            )
            .is_empty()
        );
    }
}
