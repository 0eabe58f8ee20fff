//! Lists of conf dirs as operators write them.

use serde_json::json;

use crate::house::{Stack, problems, variable};

#[test]
fn spellings_comments_and_what_they_need() {
    let stack = Stack::new("conf-dirs-needs");
    let loaded = stack.load();
    let document = json!({
        "conf_dirs": loaded.conf_dirs,
        "compose_files": loaded.compose_files,
        "order": variable(&loaded, "ORDER"),
        "local": variable(&loaded, "SEEN_BY_LOCAL"),
        "problems": problems(&loaded).lines().collect::<Vec<_>>(),
    });
    insta::assert_snapshot!(stack.shown(&document));
}
