//! `tender check`: what is wrong with the configuration.

use super::args::Form;
use super::context::Context;
use super::{diagnostic, exit, load};
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
    let problems = diagnostic::sorted(&loaded.problems);
    if args.json {
        context.out.json(&config::problems_document(problems))?;
    } else {
        for problem in problems {
            context.out.problem(problem)?;
            context.out.line("")?;
        }
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
