//! The table of settings as text: for the README and for `env.local.example`.

use super::setting::{Role, SETTINGS, Setting};

/// The reason of a setting with what else is to be said of it.
fn reason(setting: &Setting) -> String {
    let file =
        if setting.secret { format!("; {}_FILE names a file that holds it", setting.name) } else { String::new() };
    let later = if setting.role == Role::Now { "" } else { " (no effect in this version)" };
    format!("{}{file}{later}", setting.doc)
}

/// The settings as a Markdown table.
pub fn settings_table_markdown() -> String {
    let mut table = "| name | default | what for |\n|---|---|---|\n".to_owned();
    for s in SETTINGS {
        let old = s.old.map(|o| format!("<br>`{o}`")).unwrap_or_default();
        let default = if s.default.is_empty() { String::new() } else { format!("`{}`", s.default) };
        table.push_str(&format!("| `{}`{old} | {default} | {} |\n", s.name, reason(s)));
    }
    table
}

/// The text of `env.local.example`.
pub fn settings_example() -> String {
    let mut text = "\
# Settings of the scheduler, each with its default. This is a shell file: copy what you need to
# env.local, without the `#`. Of two names given the second is the one that older files use.
"
    .to_owned();
    for s in SETTINGS {
        let old = s.old.map(|old| match old.eq_ignore_ascii_case(s.name) {
            true => format!(" (or: {old})"),
            false => format!(" (old name: {old})"),
        });
        let old = old.unwrap_or_default();
        text.push_str(&format!("\n# {}{old}\n#export {}=\"{}\"\n", reason(s), s.name, s.default));
    }
    text
}
