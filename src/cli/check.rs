//! `tender check` and `tender config`: what the configuration says, and what is wrong with it.

use serde_json::Value;

use super::args::Form;
use super::context::Context;
use super::{document, exit, load};
use crate::config::{self, Problem, Severity};

/// `tender check`: every mistake in one go.
pub(super) async fn check(context: &Context, args: &Form) -> anyhow::Result<u8> {
    let loaded = match load::try_loaded(context).await? {
        Ok(loaded) => loaded,
        Err(error) if args.json => {
            context.out.json(&config::problems_document(&[error.problem()]))?;
            return Ok(exit::CONFIG);
        }
        Err(error) => return Err(load::failure(error)),
    };
    let problems = document::problems(&loaded);
    if args.json {
        context.out.json(&config::problems_document(&problems))?;
    } else {
        print(context, &problems)?;
        context.out.line(verdict(&loaded.problems, loaded.jobs.len()))?;
    }
    Ok(if loaded.has_errors() { exit::CONFIG } else { exit::DONE })
}

fn verdict(problems: &[Problem], jobs: usize) -> String {
    let count = |severity| problems.iter().filter(|p| p.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let jobs = counted(jobs, "job");
    match (errors, warnings) {
        (0, 0) => format!("The configuration is good: {jobs}."),
        (0, _) => format!("The configuration is good: {jobs}, {}.", counted(warnings, "warning")),
        _ => format!(
            "The configuration is refused in part: {}, {}; {jobs} would run.",
            counted(errors, "error"),
            counted(warnings, "warning")
        ),
    }
}

fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn print(context: &Context, problems: &[Problem]) -> anyhow::Result<()> {
    for problem in problems {
        let text = problem.to_string();
        let (word, rest) = text.split_once(':').unwrap_or((&text, ""));
        let word = match problem.severity {
            Severity::Error => context.out.bad(word),
            Severity::Warning => context.out.doubtful(word),
        };
        context.out.line(format!("{word}:{rest}"))?;
    }
    Ok(())
}

/// `tender config`: the effective values with their source.
pub(super) async fn config(context: &Context, args: &Form) -> anyhow::Result<u8> {
    let loaded = load::loaded(context).await?;
    let out = context.out;
    let document = document::config(&loaded);
    if args.json {
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
    let word = |setting: &Value, key: &str| setting[key].as_str().unwrap_or_default().replace('\n', "\\n");
    let settings = document["settings"].as_object().into_iter().flatten();
    let set = settings.map(|(name, setting)| [name.clone(), word(setting, "value"), word(setting, "source")]);
    out.table(["name", "value", "source"], set)?;
    Ok(load::report(&loaded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_counts() {
        let (error, warning) = (Problem::error("a", "b"), Problem::warning("a", "b"));
        assert_eq!(verdict(&[], 1), "The configuration is good: 1 job.");
        assert_eq!(verdict(std::slice::from_ref(&warning), 2), "The configuration is good: 2 jobs, 1 warning.");
        assert_eq!(
            verdict(&[error.clone(), warning, error], 0),
            "The configuration is refused in part: 2 errors, 1 warning; 0 jobs would run."
        );
    }
}
