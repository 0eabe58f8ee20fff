//! What is done when all files are read: both names of a variable say the same, and delayed values
//! are expanded.

use std::collections::BTreeMap;
use std::path::Path;

use super::Reader;
use crate::config::probe::Text;
use crate::config::shell::End;
use crate::config::{Problem, aliases, delayed};

impl Reader<'_> {
    /// What is known under one name is known under the other, before delayed values use either.
    pub(super) fn map_names(&mut self) {
        let view = self.view();
        let mut problems = Vec::new();
        let mut mapped = aliases::mapped(&view, &aliases::of_stack(&view), &mut problems);
        problems.into_iter().for_each(|problem| self.report(problem));
        // What the process environment beats is noted when the settings are made.
        mapped.retain(|m| m.source != "environment");
        let bytes = |value: Text| match value {
            Text::Utf8(text) => text.into_bytes(),
            Text::Bytes(bytes) => bytes,
        };
        let (names, values): (Vec<String>, Vec<_>) =
            mapped.into_iter().map(|m| (m.name.clone(), (m.name, bytes(m.value), m.source))).unzip();
        self.assign(&values);
        self.mapped.extend(names);
    }

    pub(super) fn expand_delayed(&mut self) {
        let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
        let list = self.shell.variables.get("DELAYED_EVAL").map(text).unwrap_or_default();
        let known: BTreeMap<String, String> =
            self.shell.variables.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let (order, problems) = delayed::order(&list, &known);
        problems.into_iter().for_each(|p| self.report(p));
        for name in order {
            let source = self.sources.get(&name).cloned().unwrap_or_default();
            let written = self.written.get(&name).cloned();
            let ran = self.run(format!("__tender_expand {name}").as_bytes(), Path::new(&source));
            self.sources.insert(name.clone(), source.clone());
            let origin = written.as_ref().map_or(source, |w| format!("{}:{}", w.file.display(), w.line));
            self.written.extend(written.map(|written| (name.clone(), written)));
            if !matches!(ran.map(|ran| ran.end), Some(End::Complete(0))) {
                self.report(
                    Problem::warning(origin, "its delayed value cannot be expanded and stays as it is")
                        .at_name(&name)
                        .hint("it must be valid inside double quotes of a shell"),
                );
            }
        }
    }
}
