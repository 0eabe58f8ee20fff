//! `DELAYED_EVAL`: values that are expanded when everything is read.

use crate::house::{Stack, problems, variable};

#[test]
fn delayed_values() {
    let stack = Stack::new("delayed");
    let loaded = stack.load();
    let names = [
        "TOP",
        "MIDDLE",
        "COMMAND",
        "BACKQUOTES",
        "LINES_OF",
        "DEFAULTED",
        "ROUND",
        "ABOUT",
        "QUOTED",
        "OPEN",
        "KEPT",
        "FAILS",
        "LOCAL",
        "NOWHERE_SET",
    ];
    let values = names.map(|name| format!("{name} = {:?}\n", variable(&loaded, name).map(|(value, _)| value)));
    let text = values.concat() + "\n" + &problems(&loaded);
    insta::assert_snapshot!(text.replace(stack.root.path().canonicalize().unwrap().to_str().unwrap(), "[ROOT]"));
}
