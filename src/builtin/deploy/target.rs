//! Which vector a deploy goes for. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::Snapshot;
use crate::journal::deploy::{Bad, Good};
use crate::run::{CheckoutVerdict, RevisionVector, Verdict};

/// What is to be done, after all checkouts were looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Nothing new.
    Nothing,
    /// Some checkout holds the deploy back.
    Blocked(Vec<CheckoutVerdict>),
    /// Files only: nothing has to be restarted.
    UpdateOnly(Moves),
    /// Go for this vector.
    Deploy(Moves),
    /// This vector was rolled back before, for this reason.
    KnownBad(String),
}

/// A vector and the checkouts that have to be moved for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Moves {
    /// The vector to reach.
    pub to: RevisionVector,
    /// Path → (from, to) of the checkouts that move.
    pub moves: BTreeMap<PathBuf, (String, String)>,
}

/// Decides by the verdicts, the last good record and the vectors that were rolled back.
///
/// New code on a remote triggers; so does a checkout that stands at its upstream while another
/// commit is deployed (somebody pulled by hand). Local commits, pinned and missing checkouts never do.
pub fn decide(verdicts: &[CheckoutVerdict], good: &Good, bad: &[Bad], snapshot: Snapshot, force: bool) -> Target {
    let blocked: Vec<CheckoutVerdict> = verdicts.iter().filter(|v| v.verdict.blocks()).cloned().collect();
    if !blocked.is_empty() && (snapshot == Snapshot::All || blocked.len() == verdicts.len()) {
        return Target::Blocked(blocked);
    }
    let mut to = RevisionVector::default();
    let mut moves = BTreeMap::new();
    let (mut triggered, mut update) = (false, false);
    for v in verdicts {
        let Some(from) = &v.from else {
            // What could not be looked at stays what it was, or it would look new the next time.
            if v.verdict == Verdict::Unknown {
                to.0.extend(good.vector.0.get_key_value(&v.path).map(|(path, commit)| (path.clone(), commit.clone())));
            }
            continue;
        };
        match (v.verdict, &v.to) {
            (Verdict::Behind | Verdict::UpdateOnly, Some(commit)) => {
                to.0.insert(v.path.clone(), commit.clone());
                moves.insert(v.path.clone(), (from.clone(), commit.clone()));
                if v.verdict == Verdict::Behind {
                    triggered = true;
                } else {
                    update = true;
                }
            }
            (verdict, upstream) => {
                to.0.insert(v.path.clone(), from.clone());
                let at_upstream = verdict == Verdict::UpToDate && upstream.as_ref().is_none_or(|u| u == from);
                triggered |= at_upstream && good.vector.0.get(&v.path) != Some(from);
            }
        }
    }
    let moves = Moves { to, moves };
    let known_bad = bad.iter().find(|b| b.vector == moves.to && b.holds());
    match known_bad {
        _ if !(force || triggered || update) => Target::Nothing,
        Some(bad) if !force => Target::KnownBad(bad.why.clone()),
        _ if force || triggered => Target::Deploy(moves),
        _ => Target::UpdateOnly(moves),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;

    fn checkout(path: &str, verdict: Verdict, from: &str, to: &str) -> CheckoutVerdict {
        CheckoutVerdict {
            path: path.into(),
            follow: "branch main".into(),
            from: Some(from.into()),
            to: Some(to.into()),
            verdict,
            reason: None,
        }
    }

    fn vector(pairs: &[(&str, &str)]) -> RevisionVector {
        RevisionVector(pairs.iter().map(|(p, c)| (PathBuf::from(p), (*c).to_owned())).collect())
    }

    fn good(pairs: &[(&str, &str)]) -> Good {
        Good {
            id: "1".into(),
            at: Utc::now(),
            vector: vector(pairs),
            images: BTreeMap::new(),
            hashes: BTreeMap::new(),
            compose_version: None,
            config: None,
            scheduler_behind: false,
        }
    }

    #[test]
    fn nothing_new_is_nothing() {
        let verdicts = [checkout("/a", Verdict::UpToDate, "1", "1"), checkout("/b", Verdict::Pinned, "9", "9")];
        assert_eq!(decide(&verdicts, &good(&[("/a", "1")]), &[], Snapshot::All, false), Target::Nothing);
    }

    #[test]
    fn behind_triggers_and_the_vector_is_whole() {
        let verdicts = [checkout("/a", Verdict::Behind, "1", "2"), checkout("/b", Verdict::UpToDate, "5", "5")];
        let Target::Deploy(moves) = decide(&verdicts, &good(&[("/a", "1"), ("/b", "5")]), &[], Snapshot::All, false)
        else {
            panic!()
        };
        assert_eq!(moves.to, vector(&[("/a", "2"), ("/b", "5")]));
        assert_eq!(moves.moves.len(), 1);
    }

    #[test]
    fn a_pull_by_hand_is_deployed_and_local_commits_are_not() {
        let pulled = [checkout("/a", Verdict::UpToDate, "2", "2")];
        assert!(matches!(decide(&pulled, &good(&[("/a", "1")]), &[], Snapshot::All, false), Target::Deploy(_)));
        let ahead = [checkout("/a", Verdict::UpToDate, "3", "2")];
        assert_eq!(decide(&ahead, &good(&[("/a", "1")]), &[], Snapshot::All, false), Target::Nothing);
    }

    #[test]
    fn one_blocked_checkout_holds_all_unless_told_otherwise() {
        let verdicts = [checkout("/a", Verdict::Behind, "1", "2"), checkout("/b", Verdict::Dirty, "5", "6")];
        let good = good(&[("/a", "1"), ("/b", "5")]);
        assert!(matches!(decide(&verdicts, &good, &[], Snapshot::All, false), Target::Blocked(b) if b.len() == 1));
        let Target::Deploy(moves) = decide(&verdicts, &good, &[], Snapshot::Available, false) else { panic!() };
        assert_eq!(moves.to, vector(&[("/a", "2"), ("/b", "5")]));
        let unknown = CheckoutVerdict { from: None, to: None, ..checkout("/b", Verdict::Unknown, "", "") };
        let Target::Deploy(moves) = decide(&[verdicts[0].clone(), unknown], &good, &[], Snapshot::Available, false)
        else {
            panic!()
        };
        assert_eq!(moves.to, vector(&[("/a", "2"), ("/b", "5")]), "what was not seen stays as it is on record");
        let all_blocked = [checkout("/b", Verdict::Unknown, "5", "6")];
        assert!(matches!(decide(&all_blocked, &good, &[], Snapshot::Available, false), Target::Blocked(_)));
    }

    #[test]
    fn a_missing_checkout_never_blocks() {
        let missing = CheckoutVerdict { from: None, to: None, ..checkout("/gone", Verdict::Missing, "", "") };
        let verdicts = [checkout("/a", Verdict::Behind, "1", "2"), missing];
        assert!(matches!(decide(&verdicts, &good(&[("/a", "1")]), &[], Snapshot::All, false), Target::Deploy(_)));
    }

    #[test]
    fn a_bad_vector_waits_for_another_commit() {
        let bad = [Bad { vector: vector(&[("/a", "2")]), at: Utc::now(), why: "web was unhealthy".into(), stopped: 0 }];
        let good = good(&[("/a", "1")]);
        let same = [checkout("/a", Verdict::Behind, "1", "2")];
        assert_eq!(decide(&same, &good, &bad, Snapshot::All, false), Target::KnownBad("web was unhealthy".into()));
        assert!(matches!(decide(&same, &good, &bad, Snapshot::All, true), Target::Deploy(_)));
        let files_only = [checkout("/a", Verdict::UpdateOnly, "1", "2")];
        assert!(matches!(decide(&files_only, &good, &bad, Snapshot::All, false), Target::KnownBad(_)));
        let stopped = [Bad { stopped: 1, ..bad[0].clone() }];
        assert!(matches!(decide(&same, &good, &stopped, Snapshot::All, false), Target::Deploy(_)));
        let newer = [checkout("/a", Verdict::Behind, "1", "3")];
        assert!(matches!(decide(&newer, &good, &bad, Snapshot::All, false), Target::Deploy(_)));
    }

    #[test]
    fn update_only_moves_files_unless_something_else_triggers() {
        let verdicts = [checkout("/a", Verdict::UpdateOnly, "1", "2")];
        assert!(matches!(decide(&verdicts, &good(&[("/a", "1")]), &[], Snapshot::All, false), Target::UpdateOnly(_)));
        let both = [verdicts[0].clone(), checkout("/b", Verdict::Behind, "5", "6")];
        let Target::Deploy(moves) = decide(&both, &good(&[("/a", "1"), ("/b", "5")]), &[], Snapshot::All, false) else {
            panic!()
        };
        assert_eq!(moves.moves.len(), 2);
    }
}
