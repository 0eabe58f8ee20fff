//! Commands: a text or a list of words.

use super::expand;
use super::fields::{Fields, unexpected};
use super::words::{CommandLine, command_line, quote};
use super::yaml::{Node, Value};
use crate::secret::is_secret_name;

/// The words of the command. Without one a new container runs what its image says.
pub fn command(fields: &mut Fields<'_>, needed: bool) -> Option<Vec<String>> {
    let Some(node) = fields.take("command") else {
        if needed {
            let place = fields.place();
            fields.error("command", place, "is missing");
            return None;
        }
        return Some(Vec::new());
    };
    words(fields, "command", node)
}

pub fn words(fields: &mut Fields<'_>, key: &'static str, node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Text(text) => {
            if fields.legacy {
                warn_of_secrets(fields, key, node, text);
            }
            let text = if fields.legacy { fields.shell_expanded(key, node.place, text) } else { text.clone() };
            match command_line(&text) {
                Ok(CommandLine::Words(words)) => Some(words),
                Ok(CommandLine::Shell) => Some(vec!["sh".to_owned(), "-c".to_owned(), text.trim().to_owned()]),
                Err(error) => {
                    fields.error(key, node.place, error);
                    None
                }
            }
        }
        Value::List(items) => {
            let mut words = Vec::new();
            for item in items {
                match item.text() {
                    Some(text) if fields.legacy => words.push(fields.expanded(key, item.place, text)),
                    Some(text) => words.push(text.to_owned()),
                    None => {
                        fields.error(key, item.mark(), unexpected("a text", item));
                        return None;
                    }
                }
            }
            Some(words)
        }
        _ => {
            fields.error(key, node.mark(), unexpected("a text or a list of words", node));
            None
        }
    }
}

/// Warns of secrets that would be expanded into the command line.
fn warn_of_secrets(fields: &mut Fields<'_>, key: &'static str, node: &Node, text: &str) {
    let lookup = fields.lookup();
    // Those that a shell would not expand are left alone here as well.
    for name in expand::shell_text(text, &|_| None).1.iter().filter(|name| is_secret_name(name)) {
        if lookup(name).is_some_and(|value| !value.is_empty()) {
            let message = format!(
                "the value of ${name} would stand in the command line, where everybody on the host sees it; hand it \
                 over with `environment: [{name}]` and let a shell in the container use it: sh -c '… ${name}'"
            );
            fields.warning(key, node.place, message);
        }
    }
}

/// A command as a shell is to read it.
pub fn script(fields: &mut Fields<'_>, key: &'static str, node: &Node) -> Option<String> {
    match &node.value {
        // Only whether its quotes are closed: it is for a shell anyway.
        Value::Text(text) => match command_line(text) {
            Ok(_) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Ok(_) => {
                fields.error(key, node.place, "is empty");
                None
            }
            Err(error) => {
                fields.error(key, node.place, error);
                None
            }
        },
        _ => {
            let words: Vec<String> = words(fields, key, node)?.iter().map(|word| quote(word)).collect();
            Some(words.join(" "))
        }
    }
}
