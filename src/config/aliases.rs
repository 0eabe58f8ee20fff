//! Old and new names of one variable: which of them holds, and how both come to say the same.

use super::Problem;
use super::probe::{Collected, Gathered, Text};
use super::setting::SETTINGS;

/// The variable that says whether old names win.
pub const COMPATIBLE: &str = "BIRDHOUSE_BACKWARD_COMPATIBLE_ALLOWED";

/// The variable in which a legacy stack lists its own renamed variables.
pub const STACK_LIST: &str = "BIRDHOUSE_BACKWARDS_COMPATIBLE_VARIABLES";

/// New and old names of variables that are no settings of the scheduler, but that files and compose
/// files use under either name. For stacks that carry no list of their own.
const ALIASES: &[(&str, &str)] = &[
    ("BIRDHOUSE_DATA_PERSIST_ROOT", "DATA_PERSIST_ROOT"),
    ("BIRDHOUSE_DATA_PERSIST_SHARED_ROOT", "DATA_PERSIST_SHARED_ROOT"),
    ("BIRDHOUSE_LOGROTATE_DATA_DIR", "LOGROTATE_DATA_DIR"),
    ("BIRDHOUSE_SSL_CERTIFICATE", "SSL_CERTIFICATE"),
    ("BIRDHOUSE_FQDN", "PAVICS_FQDN"),
    ("BIRDHOUSE_FQDN_PUBLIC", "PAVICS_FQDN_PUBLIC"),
    ("BIRDHOUSE_HOST_URL", "PAVICS_HOST_URL"),
    ("BIRDHOUSE_FRONTEND_IP", "PAVICS_FRONTEND_IP"),
    ("BIRDHOUSE_FRONTEND_PORT", "PAVICS_FRONTEND_PORT"),
    ("BIRDHOUSE_FRONTEND_PROTO", "PAVICS_FRONTEND_PROTO"),
    ("BIRDHOUSE_POSTGRES_USERNAME", "POSTGRES_PAVICS_USERNAME"),
    ("BIRDHOUSE_POSTGRES_PASSWORD", "POSTGRES_PAVICS_PASSWORD"),
    ("BIRDHOUSE_REPO_CHECKOUT_OWNER", "OWNER_PAVICS_CHECKOUT"),
    ("BIRDHOUSE_PROXY_ROOT_LOCATION", "PROXY_ROOT_LOCATION"),
    ("BIRDHOUSE_DOC_URL", "DOC_URL"),
    ("BIRDHOUSE_SUPPORT_EMAIL", "SUPPORT_EMAIL"),
    ("BIRDHOUSE_ALLOW_UNSECURE_HTTP", "ALLOW_UNSECURE_HTTP"),
    ("JUPYTERHUB_DOCKER_NOTEBOOK_IMAGES", "DOCKER_NOTEBOOK_IMAGES"),
    ("JUPYTERHUB_ENABLE_MULTI_NOTEBOOKS", "ENABLE_JUPYTERHUB_MULTI_NOTEBOOKS"),
    ("MAGPIE_GITHUB_CLIENT_ID", "GITHUB_CLIENT_ID"),
    ("MAGPIE_GITHUB_CLIENT_SECRET", "GITHUB_CLIENT_SECRET"),
    ("ALERTMANAGER_SMTP_SERVER", "SMTP_SERVER"),
];

/// All pairs of a new and an old name: those of the settings, and those that the stack's own list
/// gives (`OLD=NEW`, separated by white space), or the usual ones where it has no list.
pub fn aliases(stack_list: Option<&str>) -> Vec<(String, String)> {
    let mut pairs: Vec<(&str, &str)> = SETTINGS.iter().filter_map(|s| Some((s.name, s.old?))).collect();
    let listed = stack_list.into_iter().flat_map(str::split_whitespace).filter_map(|entry| entry.split_once('='));
    let listed: Vec<(&str, &str)> = listed
        .filter(|(old, new)| old != new && super::words::is_name(old) && super::words::is_name(new))
        .map(|(old, new)| (new, old))
        .collect();
    let further = if listed.is_empty() { ALIASES } else { listed.as_slice() };
    for pair in further {
        // Each old name has one meaning; that of a setting is the scheduler's own.
        if !pairs.iter().any(|(_, old)| *old == pair.1) {
            pairs.push(*pair);
        }
    }
    pairs.into_iter().map(|(new, old)| (new.to_owned(), old.to_owned())).collect()
}

/// The pairs of this stack.
pub fn of_stack(collected: &Collected) -> Vec<(String, String)> {
    aliases(collected.values.get(STACK_LIST).map(|g| g.value.lossy()).as_deref())
}

/// How strong a source is: of two names the one from the stronger source holds. The process
/// environment, `env.local`, the conf dirs from the last to the first, the stack's own defaults,
/// what is derived.
fn strength(source: &str, collected: &Collected) -> usize {
    match source {
        "environment" => usize::MAX,
        "derived" => 0,
        file if std::path::Path::new(file) == collected.env_local => usize::MAX - 1,
        file => {
            let of = |dir: &super::ConfDir| std::path::Path::new(file).parent() == Some(&dir.path);
            collected.conf_dirs.iter().rposition(of).map_or(1, |at| at + 2)
        }
    }
}

/// Whether old names win; the built-in default is yes.
fn old_names_win(collected: &Collected) -> bool {
    collected.values.get(COMPATIBLE).and_then(|g| super::values::truth(&g.value.lossy())) != Some(false)
}

/// The value that holds of a new and an old name, empty meaning absent, with the name under which
/// it was written. Proxies have one name in two spellings; of these the lower case holds.
pub fn choose<'a, 'n>(
    collected: &'a Collected,
    new: &'n str,
    old: Option<&'n str>,
    problems: &mut Vec<Problem>,
) -> Option<(&'n str, &'a Gathered)> {
    let look = |name: &str| collected.values.get(name).filter(|g| !g.value.is_empty());
    let Some(old) = old else { return look(new).map(|g| (new, g)) };
    // What is there because of the other name says nothing of its own.
    let written = |name: &str| look(name).filter(|g| !g.mapped);
    let (n, o) = match (written(new), written(old)) {
        (None, None) => return look(new).map(|g| (new, g)).or_else(|| look(old).map(|g| (old, g))),
        (Some(g), None) => return Some((new, g)),
        (None, Some(g)) => return Some((old, g)),
        (Some(n), Some(o)) => (n, o),
    };
    let (by_new, by_old) = (strength(&n.source, collected), strength(&o.source, collected));
    if by_new != by_old {
        return Some(if by_new > by_old { (new, n) } else { (old, o) });
    }
    let spelling = old.eq_ignore_ascii_case(new);
    let old_wins = spelling || old_names_win(collected);
    let (winner, loser) = if old_wins { ((old, o), (new, n)) } else { ((new, n), (old, o)) };
    if n.value != o.value {
        let hint = match (spelling, old_wins) {
            (true, _) => format!("set only one of them; {old} holds as it does for other programs"),
            (_, true) => format!("set only {new}; {COMPATIBLE}=False lets the new name win"),
            (_, false) => format!("set only {new}; {COMPATIBLE}=True lets the old name win"),
        };
        problems.push(
            Problem::warning(&winner.1.source, format!("{old} and {new} are both set and differ; {} holds", winner.0))
                .at(loser.0, &loser.1.value.lossy())
                .hint(hint),
        );
    }
    Some(winner)
}

/// What a variable gets because of its other name.
pub struct Mapped {
    /// Its name.
    pub name: String,
    /// The other name, which holds.
    pub of: String,
    /// The value of the other name.
    pub value: Text,
    /// Where the other name got it.
    pub source: String,
}

/// The assignments after which both names of every pair say the same. Variables that have got
/// theirs in this way are to be marked ([`Gathered::mapped`]); then a second look changes nothing.
pub fn mapped(collected: &Collected, pairs: &[(String, String)], problems: &mut Vec<Problem>) -> Vec<Mapped> {
    let mut assignments = Vec::new();
    for (new, old) in pairs {
        let Some((holds, chosen)) = choose(collected, new, Some(old), problems) else { continue };
        let other = if holds == new { old } else { new };
        if collected.values.get(other).is_none_or(|g| g.value != chosen.value) {
            let (value, source) = (chosen.value.clone(), chosen.source.clone());
            assignments.push(Mapped { name: other.clone(), of: holds.to_owned(), value, source });
        }
    }
    assignments
}

/// Makes both names of every pair say the same.
pub fn map(collected: &mut Collected, problems: &mut Vec<Problem>) {
    for Mapped { name, of, value, source } in mapped(collected, &of_stack(collected), problems) {
        let firm = source == "environment";
        let beaten = collected.values.insert(name, Gathered { mapped: true, ..Gathered::new(value, source) });
        if let Some(beaten) = beaten.filter(|b| firm && !b.mapped && !b.value.is_empty() && b.source.starts_with('/')) {
            freeze(collected, &of, beaten.source);
        }
    }
}

/// Notes that the process environment keeps the value of a file from taking effect, be it under the
/// other name.
fn freeze(collected: &mut Collected, name: &str, file: String) {
    let before = collected.values.get(name).and_then(|g| g.frozen.as_ref());
    if before.is_none_or(|before| strength(before, collected) < strength(&file, collected))
        && let Some(winner) = collected.values.get_mut(name)
    {
        winner.frozen = Some(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfDir;

    /// The levels, from the weakest to the strongest.
    const LEVELS: [&str; 5] = ["/stack/default.env", "/stack/a/default.env", "/b/default.env", "/e", "environment"];

    fn collected(pairs: &[(&str, &str, &str)]) -> Collected {
        let dir = |path: &str| ConfDir { path: path.into(), active: true, reason: None };
        let mut collected =
            Collected { env_local: "/e".into(), conf_dirs: vec![dir("/stack/a"), dir("/b")], ..Default::default() };
        for (name, value, source) in pairs {
            collected.values.insert((*name).to_owned(), Gathered::new(Text::from(value.as_bytes().to_vec()), *source));
        }
        collected
    }

    /// Level × level × name × switch × equal or not.
    #[test]
    fn precedence_over_the_whole_cross_product() {
        for (by_new, new_level) in LEVELS.iter().enumerate() {
            for (by_old, old_level) in LEVELS.iter().enumerate() {
                for (switch, old_first) in
                    [(None, true), (Some("True"), true), (Some(""), true), (Some("False"), false)]
                {
                    for same in [false, true] {
                        let old_value = if same { "n" } else { "o" };
                        let mut pairs = vec![("NEW", "n", *new_level), ("OLD", old_value, *old_level)];
                        pairs.extend(switch.map(|s| (COMPATIBLE, s, "/e")));
                        let expected = match by_new.cmp(&by_old) {
                            std::cmp::Ordering::Greater => "NEW",
                            std::cmp::Ordering::Less => "OLD",
                            std::cmp::Ordering::Equal if old_first => "OLD",
                            std::cmp::Ordering::Equal => "NEW",
                        };
                        let mut problems = vec![];
                        let collected = collected(&pairs);
                        let (name, _) = choose(&collected, "NEW", Some("OLD"), &mut problems).unwrap();
                        assert_eq!(name, expected, "{pairs:?}");
                        assert_eq!(problems.len(), usize::from(!same && by_new == by_old), "{pairs:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_empty_value_is_none() {
        for (pairs, expected) in [
            (vec![("NEW", "", "environment"), ("OLD", "o", "/e")], Some("OLD")),
            (vec![("NEW", "n", "/e"), ("OLD", "", "environment")], Some("NEW")),
            (vec![("NEW", "", "/e")], None),
            (vec![], None),
        ] {
            let collected = collected(&pairs);
            let chosen = choose(&collected, "NEW", Some("OLD"), &mut vec![]);
            assert_eq!(chosen.map(|c| c.0), expected, "{pairs:?}");
        }
    }

    #[test]
    fn of_two_spellings_the_lower_case_holds() {
        for switch in ["True", "False"] {
            let collected = collected(&[("NO_PROXY", "n", "/e"), ("no_proxy", "o", "/e"), (COMPATIBLE, switch, "/e")]);
            let mut problems = vec![];
            let chosen = choose(&collected, "NO_PROXY", Some("no_proxy"), &mut problems);
            assert_eq!((chosen.map(|c| c.0), problems.len()), (Some("no_proxy"), 1));
        }
    }

    #[test]
    fn both_names_come_to_say_the_same() {
        let list = "\n  PAVICS_X=BIRDHOUSE_X\n  EXTRA_CONF_DIRS=MINE\n bad $(x)=y\n";
        let mut collected = collected(&[
            (STACK_LIST, list, "/stack/default.env"),
            ("BIRDHOUSE_X", "default", "/stack/default.env"),
            ("PAVICS_X", "mine", "/e"),
            ("PAVICS_LOG_DIR", "/logs", "environment"),
            ("BIRDHOUSE_LOG_DIR", "/other", "/e"),
            ("BIRDHOUSE_COMPOSE_UP_EXTRA_OPTS", "--x", "/b/default.env"),
        ]);
        let mut problems = vec![];
        map(&mut collected, &mut problems);
        let seen = |name: &str| collected.values.get(name).map(|g| (g.value.lossy(), g.source.clone(), g.mapped));
        let is = |value: &str, source: &str, mapped| Some((value.to_owned(), source.to_owned(), mapped));
        assert_eq!(seen("BIRDHOUSE_X"), is("mine", "/e", true));
        assert_eq!(seen("PAVICS_X"), is("mine", "/e", false));
        assert_eq!(seen("BIRDHOUSE_LOG_DIR"), is("/logs", "environment", true));
        assert_eq!(seen("COMPOSE_UP_EXTRA_OPTS"), is("--x", "/b/default.env", true));
        assert_eq!((seen("MINE"), seen("DATA_PERSIST_ROOT"), problems.len()), (None, None, 0));
        let before = collected.clone();
        map(&mut collected, &mut problems);
        assert!(collected == before && problems.is_empty(), "a second look changes something");
        // What was written is what is named.
        assert_eq!(choose(&collected, "BIRDHOUSE_X", Some("PAVICS_X"), &mut vec![]).unwrap().0, "PAVICS_X");
    }

    #[test]
    fn every_pair_of_names_is_unambiguous() {
        let pairs = aliases(None);
        let mut names: Vec<&String> = pairs.iter().flat_map(|(new, old)| [new, old]).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "a name stands in two pairs");
        assert!(pairs.contains(&("BIRDHOUSE_FQDN".to_owned(), "PAVICS_FQDN".to_owned())));
    }
}
