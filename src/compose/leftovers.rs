//! Containers that an interrupted recreate leaves behind under the name `<id12>_<name>`.
//!
//! v2 creates the *new* one under that name (with the old one's id), removes the old one and
//! renames; 1.29 renames the *old* one (with its own id), creates the new one and removes the old.
//! Either way: when nobody has the name, the leftover is all there is, and gets it; when somebody
//! has it, the leftover is the one too many.

use super::label::{self, Labels};

/// A container of the project, as far as is needed here.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// Its full id.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a Labels,
}

/// A leftover, and what makes the project whole again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its full id.
    pub id: String,
    /// The name that it has.
    pub name: String,
    /// What to do.
    pub repair: Repair,
}

/// What makes the project whole again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Give it back this name: no other container has it.
    Rename(String),
    /// Remove it: the container that has the name stays.
    Remove,
}

/// The leftovers among the containers of a project, in their order. One name is given back once.
pub fn leftovers(containers: &[Labelled<'_>]) -> Vec<Leftover> {
    let mut names: Vec<&str> = containers.iter().map(|c| c.name).collect();
    let mut found = Vec::new();
    for container in containers {
        let Some(name) = wanted_name(container, containers) else { continue };
        let repair = if names.contains(&name) {
            Repair::Remove
        } else {
            names.push(name);
            Repair::Rename(name.to_owned())
        };
        found.push(Leftover { id: container.id.to_owned(), name: container.name.to_owned(), repair });
    }
    found
}

/// The name without its prefix, when the prefix is the short id of itself or of one that it
/// replaces; the service's own `container_name` may look alike and stays.
fn wanted_name<'a>(container: &Labelled<'a>, all: &[Labelled<'_>]) -> Option<&'a str> {
    label::service_of(container.labels)?;
    let (prefix, name) = container.name.split_once('_')?;
    let short_id = prefix.len() == 12 && prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let replaces = container.labels.contains_key(label::REPLACE);
    let known = replaces || all.iter().any(|c| c.id.starts_with(prefix));
    (short_id && known && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(containers: &[(&str, &str, bool)]) -> Vec<(String, Repair)> {
        let labels = |replaces: bool| {
            let mut labels: Labels = [(label::SERVICE.to_owned(), "web".to_owned())].into();
            if replaces {
                labels.insert(label::REPLACE.to_owned(), "p-web-1".to_owned());
            }
            labels
        };
        let owned: Vec<(&str, &str, Labels)> = containers.iter().map(|(id, n, r)| (*id, *n, labels(*r))).collect();
        let containers: Vec<Labelled> = owned.iter().map(|(id, name, labels)| Labelled { id, name, labels }).collect();
        leftovers(&containers).into_iter().map(|l| (l.id, l.repair)).collect()
    }

    const OLD: &str = "0123456789ab00000000000000000000";
    const NEW: &str = "ba987654321000000000000000000000";

    #[test]
    fn a_whole_project_has_none() {
        assert_eq!(found(&[(OLD, "p-web-1", false), (NEW, "my_own_name", false)]), []);
        assert_eq!(found(&[(OLD, "ffffffffffff_name", false)]), [], "a name that only looks alike");
    }

    #[test]
    fn v2_before_and_after_the_old_one_went() {
        let new = (NEW, "0123456789ab_p-web-1", true);
        assert_eq!(found(&[(OLD, "p-web-1", false), new]), [(NEW.to_owned(), Repair::Remove)]);
        assert_eq!(found(&[new]), [(NEW.to_owned(), Repair::Rename("p-web-1".to_owned()))]);
    }

    #[test]
    fn v1_before_and_after_the_new_one_came() {
        let old = (OLD, "0123456789ab_p_web_1", false);
        assert_eq!(found(&[old]), [(OLD.to_owned(), Repair::Rename("p_web_1".to_owned()))]);
        assert_eq!(found(&[old, (NEW, "p_web_1", false)]), [(OLD.to_owned(), Repair::Remove)]);
    }

    #[test]
    fn two_leftovers_of_one_name_leave_one() {
        let repairs = found(&[
            (OLD, "0123456789ab_p-web-1", true),
            (NEW, "0123456789ab_p-web-1x", true),
            ("c", "0123456789ab_p-web-1", true),
        ]);
        assert_eq!(repairs[0].1, Repair::Rename("p-web-1".to_owned()));
        assert_eq!(repairs[2].1, Repair::Remove);
    }
}
