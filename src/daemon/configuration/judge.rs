//! Whether what a look has found may take the place of what is in force. Pure.

use std::path::Path;

use super::{Fingerprint, InForce};
use crate::config::{Loaded, Problem};
use crate::daemon::health::{Trouble, troubles};

/// What becomes of a look.
#[derive(Debug)]
pub enum Verdict {
    /// It found what is in force.
    Same,
    /// It is to be in force.
    Take,
    /// What was in force stays, for this reason.
    Stay(Trouble, String),
}

/// Judges what was found. `known` is what is in force or, at the start, what was last; `runs` says
/// that it is in force.
pub fn judge(loaded: &Loaded, print: &Fingerprint, known: Option<&InForce>, runs: bool) -> Verdict {
    let Some(known) = known else { return Verdict::Take };
    if runs && known.print == *print {
        return Verdict::Same;
    }
    // Half a configuration is worse than an older whole one; of two halves the newer one is taken.
    if !loaded.complete && known.loaded.complete {
        let why = loaded.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Verdict::Stay(troubles::CONFIG_UNREADABLE, format!("it was not read to its end: {why}"));
    }
    if let Some(dir) = vanished(&known.loaded, loaded) {
        let why = format!(
            "the conf dir {dir} has vanished; bring it back, or take it out of the list if it is gone for good"
        );
        return Verdict::Stay(troubles::CONFIG_UNREADABLE, why);
    }
    match fixed(&known.loaded, loaded) {
        Some(why) if runs => Verdict::Stay(troubles::RESTART_NEEDED, why),
        _ => Verdict::Take,
    }
}

/// A conf dir that was used and is listed still, but not there: a checkout in the middle of a git
/// operation, a file system that is away. Its jobs are not gone for that.
fn vanished(before: &Loaded, now: &Loaded) -> Option<String> {
    let used = |path| before.conf_dirs.iter().any(|dir| dir.active && dir.path == path);
    now.conf_dirs
        .iter()
        .find(|dir| dir.is_missing() && used(dir.path.clone()))
        .map(|dir| dir.path.display().to_string())
}

/// What cannot change while the process runs: the project is in the name and the labels of every
/// container under way, and the engine is the one that these run on.
fn fixed(before: &Loaded, now: &Loaded) -> Option<String> {
    let (old, new) = (&before.settings, &now.settings);
    if old.project != new.project {
        return Some(format!("the compose project was {:?} and would be {:?}", old.project, new.project));
    }
    let shown = |host: &Option<String>| host.clone().unwrap_or_else(|| "the usual socket".to_owned());
    (old.docker_host != new.docker_host)
        .then(|| format!("the engine was {} and would be {}", shown(&old.docker_host), shown(&new.docker_host)))
}

/// The state is where the process was told to keep it when it was started: its lease lies there.
pub fn hold_state_dir(loaded: &mut Loaded, state_dir: &Path) {
    const NAME: &str = "SCHEDULER_STATE_DIR";
    let named = std::mem::replace(&mut loaded.settings.state_dir, state_dir.to_owned());
    let Some(sourced) = loaded.values.get(NAME) else { return };
    if named == state_dir || sourced.source == "default" {
        return;
    }
    let message = format!("has no effect here: the scheduler keeps its state in {}", state_dir.display());
    let problem = Problem::warning(&sourced.source, message).at(NAME, &named.display().to_string());
    loaded.problems.push(problem.hint("set it in the environment of the scheduler's service, and mount the folder"));
}

#[cfg(test)]
mod tests {
    use super::super::examples::{collected, conf_dir, in_force, job};
    use super::*;
    use crate::config::Collected;

    fn verdict(known: Option<&Collected>, now: &Collected, runs: bool) -> String {
        let now = in_force(now);
        match judge(&now.loaded, &now.print, known.map(in_force).as_ref(), runs) {
            Verdict::Same => "same".to_owned(),
            Verdict::Take => "take".to_owned(),
            Verdict::Stay(trouble, why) => format!("{}: {why}", trouble.code),
        }
    }

    #[test]
    fn what_is_good_is_taken_and_what_is_the_same_is_not_taken_again() {
        let (a, b) = (collected(&job("a", "@daily", "x"), &[]), collected(&job("b", "@daily", "x"), &[]));
        assert_eq!(verdict(Some(&a), &b, true), "take");
        assert_eq!(verdict(Some(&a), &a, true), "same");
        assert_eq!(verdict(Some(&a), &a, false), "take", "what was stored is not in force yet");
        assert_eq!(verdict(None, &a, false), "take");
        // Refused parts are no reason to keep all others out.
        assert_eq!(verdict(Some(&a), &collected("- {name: b}\n", &[]), true), "take");
        assert_eq!(verdict(Some(&a), &collected("", &[]), true), "take", "no job is a configuration, too");
    }

    #[test]
    fn half_a_configuration_takes_the_place_of_no_whole_one() {
        let whole = collected(&job("a", "@daily", "x"), &[]);
        let half = Collected { complete: false, ..collected("", &[]) };
        let worse = Collected { complete: false, ..collected("", &[("A", "1")]) };
        assert!(verdict(Some(&whole), &half, true).starts_with("config-unreadable: it was not read to its end"));
        assert!(verdict(Some(&whole), &half, false).starts_with("config-unreadable"));
        assert_eq!(verdict(None, &half, false), "take");
        assert_eq!(verdict(Some(&half), &worse, true), "take");
        assert_eq!(verdict(Some(&half), &whole, true), "take");
    }

    #[test]
    fn a_conf_dir_that_vanishes_is_a_failed_look_and_one_that_is_taken_out_is_not() {
        let mut before = collected(&job("a", "@daily", "x"), &[]);
        before.conf_dirs.push(conf_dir("/srv/more"));
        let mut missing = collected("", &[]);
        missing.conf_dirs = vec![conf_dir("/srv/more")];
        missing.conf_dirs[0].active = false;
        missing.conf_dirs[0].reason = Some("does not exist".to_owned());
        for runs in [true, false] {
            assert!(verdict(Some(&before), &missing, runs).contains("the conf dir /srv/more has vanished"));
        }
        // A typo that is new takes nothing out of force.
        assert_eq!(verdict(Some(&collected("", &[])), &missing, true), "take");
        assert_eq!(verdict(Some(&before), &collected(&job("b", "@daily", "x"), &[]), true), "take");
    }

    #[test]
    fn the_state_stays_where_it_is() {
        let state = Path::new("/var/lib/tender");
        let mut loaded = in_force(&collected("", &[("SCHEDULER_STATE_DIR", "/elsewhere")])).loaded;
        hold_state_dir(&mut loaded, state);
        assert_eq!(loaded.settings.state_dir, state);
        let said = loaded.problems.pop().unwrap().to_string();
        assert!(said.starts_with("warning: /stack/env.local: SCHEDULER_STATE_DIR has no effect here"), "{said}");
        assert!(said.contains("/elsewhere"), "{said}");
        let mut loaded = in_force(&collected("", &[])).loaded;
        hold_state_dir(&mut loaded, Path::new("/flag"));
        assert_eq!(loaded.settings.state_dir, Path::new("/flag"));
        assert!(!loaded.problems.iter().any(|p| p.key.as_deref() == Some("SCHEDULER_STATE_DIR")));
    }

    #[test]
    fn the_stack_and_its_engine_change_with_a_restart_only() {
        let of = |name, value| collected("", &[(name, value)]);
        for (name, one, two) in
            [("COMPOSE_PROJECT_NAME", "one", "two"), ("DOCKER_HOST", "tcp://one:2375", "tcp://two:2375")]
        {
            let (before, now) = (of(name, one), of(name, two));
            let verdict_now = verdict(Some(&before), &now, true);
            assert!(verdict_now.starts_with("restart-needed: ") && verdict_now.contains("two"), "{verdict_now}");
            assert_eq!(verdict(Some(&before), &now, false), "take", "{name} at the start");
        }
    }
}
