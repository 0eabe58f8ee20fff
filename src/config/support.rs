//! What job files may say and this version cannot run. It is read and checked like everything else,
//! and refused here, in one place.

use super::values;
use super::yaml::{Node, Value};

/// Keys that a later version understands.
const LATER: &[&str] = &["watch", "ping", "notify"];

/// Built-ins that a later version has.
const LATER_BUILTINS: &[&str] =
    &["notebooks", "notebookdeploy", "backup", "restore-check", "prune", "clean-old-files", "sync"];

/// Why a key cannot be used, where it asks for something.
pub fn refusal(key: &str, node: &Node) -> Option<&'static str> {
    let asks = match &node.value {
        Value::Null => false,
        Value::List(items) => !items.is_empty(),
        Value::Map(_) => true,
        Value::Text(text) => values::truth(text) != Some(false),
    };
    (asks && LATER.contains(&key)).then_some("is not supported by this version")
}

/// Whether a later version has a built-in of this name.
pub fn is_later_builtin(name: &str) -> bool {
    LATER_BUILTINS.contains(&name)
}
