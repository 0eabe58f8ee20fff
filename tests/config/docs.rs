//! The tables in the documentation are those of the code.

use std::fs;
use std::path::Path;

use tender::config::{job_keys_markdown, legacy_table_markdown, settings_table_markdown};

#[test]
fn tables_are_those_of_the_code() {
    for (file, mark, table) in [
        ("README.md", "settings", settings_table_markdown()),
        ("docs/configuration.md", "keys", job_keys_markdown()),
        ("docs/migrating.md", "legacy", legacy_table_markdown()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = fs::read_to_string(&path).unwrap();
        let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
        let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{file} has no {begin}"));
        let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{file} has no {end}"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        } else {
            assert_eq!(found.trim(), table.trim(), "{file}: UPDATE_DOCS=1 cargo test --test config docs puts it there");
        }
    }
}
