//! `tender config`: the effective values, and where each comes from.

use serde_json::Value;

use super::args::Config;
use super::context::Context;
use super::{exit, load};
use crate::config;

/// A value longer than this is cut in the table.
const LONGEST: usize = 60;

/// `tender config`.
pub(super) async fn config(context: &Context, args: &Config) -> anyhow::Result<u8> {
    let loaded = load::loaded(context).await?;
    let out = context.out;
    let mut document = config::config_document(&loaded);
    if args.all {
        document["variables"] = config::variables_document(&loaded);
    }
    if args.form.json {
        out.json(&document)?;
        return Ok(if loaded.has_errors() { exit::CONFIG } else { exit::DONE });
    }
    out.line(format!("compose dir: {}", loaded.settings.compose_dir.display()))?;
    for checkout in &loaded.settings.checkouts {
        out.line(format!("checkout: {}", checkout.display()))?;
    }
    for dir in &loaded.conf_dirs {
        let reason = dir.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let state = if dir.active { "conf dir" } else { "conf dir, not used" };
        out.line(format!("{state}: {}{reason}", dir.path.display()))?;
    }
    for file in &loaded.compose_files {
        out.line(format!("compose file: {}", file.display()))?;
    }
    out.line("")?;
    out.table(["setting", "value", "source"], rows(&document["settings"]))?;
    if args.all {
        out.line("")?;
        out.table(["variable", "value", "source"], rows(&document["variables"]))?;
    }
    for (name, value) in
        [&document["settings"], &document["variables"]].into_iter().filter_map(Value::as_object).flatten()
    {
        if let Some(file) = value["frozen"].as_str() {
            let firm = value["value"].as_str().unwrap_or_default();
            out.line("")?;
            out.line(out.doubtful(&format!("{name}: the process environment holds {} against {file}", short(firm))))?;
        }
    }
    Ok(load::report(&loaded))
}

fn rows(values: &Value) -> impl Iterator<Item = [String; 3]> {
    values.as_object().into_iter().flatten().map(|(name, value)| {
        let source = value["source"].as_str().unwrap_or_default();
        let source = match (&value["line"], &value["frozen"]) {
            (Value::Number(line), _) => format!("{source}:{line}"),
            (_, Value::String(_)) => format!("{source} (frozen)"),
            _ => source.to_owned(),
        };
        [name.clone(), short(value["value"].as_str().unwrap_or_default()), source]
    })
}

/// One line of a value, as far as a table needs it.
fn short(value: &str) -> String {
    let line = config::visible(&value.trim().split('\n').map(str::trim).collect::<Vec<_>>().join("\\n"));
    let mut letters = line.char_indices();
    match letters.nth(LONGEST) {
        Some((at, _)) => format!("{}… ({} characters)", &line[..at], value.chars().count()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_and_lines_joined() {
        assert_eq!(short("/a"), "/a");
        assert_eq!(short("\n  /a\n  /b\n"), "/a\\n/b");
        assert_eq!(short(&"é".repeat(61)), format!("{}… (61 characters)", "é".repeat(60)));
    }
}
