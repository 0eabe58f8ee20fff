//! The order in which delayed values are expanded: what a value refers to comes before it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Problem, expand};

/// The names of `DELAYED_EVAL` that need expansion, in the order of their dependencies; a cycle is
/// left out and reported.
pub fn order(list: &str, values: &BTreeMap<String, String>) -> (Vec<String>, Vec<Problem>) {
    let names: BTreeSet<&str> = list.split_ascii_whitespace().collect();
    let mut walk = Walk { names: &names, values, done: BTreeMap::new(), order: Vec::new(), problems: Vec::new() };
    for name in list.split_ascii_whitespace() {
        walk.visit(name, &mut Vec::new());
    }
    (walk.order, walk.problems)
}

struct Walk<'a> {
    names: &'a BTreeSet<&'a str>,
    values: &'a BTreeMap<String, String>,
    /// Name → whether it is part of a cycle.
    done: BTreeMap<String, bool>,
    order: Vec<String>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn visit(&mut self, name: &str, path: &mut Vec<String>) {
        if self.done.contains_key(name) {
            return;
        }
        let Some(value) = self.values.get(name) else { return };
        if let Some(at) = path.iter().position(|p| p == name) {
            let cycle = path[at..].to_vec();
            let shown = cycle.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(" → ");
            self.problems.push(
                Problem::error("DELAYED_EVAL", format!("the values refer to each other in a circle: {shown}"))
                    .hint("give one of them a value that refers to none of the others"),
            );
            self.done.extend(cycle.into_iter().map(|n| (n, true)));
            return;
        }
        path.push(name.to_owned());
        for other in expand::names(value) {
            if self.names.contains(other.as_str()) {
                self.visit(&other, path);
            }
        }
        path.pop();
        if !self.done.contains_key(name) {
            self.done.insert(name.to_owned(), false);
            if value.contains(['$', '`']) {
                self.order.push(name.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(list: &str, values: &[(&str, &str)]) -> (Vec<String>, usize) {
        let values = values.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let (order, problems) = order(list, &values);
        (order, problems.len())
    }

    #[test]
    fn dependencies_first_and_cycles_named() {
        let values = [("A", "${B}/a"), ("B", "$C/b"), ("C", "$(echo c)"), ("D", "plain"), ("X", "$Y"), ("Y", "$X")];
        assert_eq!(run("A D B C A", &values), (vec!["C".into(), "B".into(), "A".into()], 0));
        assert_eq!(run("X Y A", &values), (vec!["A".into()], 1));
        assert_eq!(run("NONE", &values), (vec![], 0));
    }
}
