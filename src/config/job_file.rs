//! Texts that define jobs, cut into definitions. Each text and each definition stands alone.

use super::probe::{Collected, Text};
use super::setting::Setting;
use super::template::Renderer;
use super::yaml::{self, Node, Value};
use super::{Origin, Problem, aliases};

/// A text that defines jobs.
pub struct JobText {
    /// Path of the file, or name of the variable.
    pub origin: String,
    /// Its text, rendered where it is a template.
    pub text: String,
    /// Known variables in it are expanded as the legacy scheduler's shell did.
    pub legacy: bool,
    /// It is a variable's value.
    pub variable: bool,
}

/// One definition of a job.
pub struct Definition<'a> {
    /// The key that it stands under, in a mapping.
    pub name: Option<&'a str>,
    /// The job itself.
    pub node: &'a Node,
}

/// All texts that define jobs, in order.
pub fn job_texts(collected: &Collected, problems: &mut Vec<Problem>) -> Vec<JobText> {
    let renderer = Renderer::for_jobs(collected);
    let mut texts = Vec::new();
    for file in &collected.job_files {
        let origin = file.path.display().to_string();
        let text = match collected.files.get(&file.path) {
            Some(text) if file.template => Some(Text::from(renderer.render(text.bytes()))),
            text => text.cloned(),
        };
        match text {
            Some(Text::Utf8(text)) => texts.push(JobText { origin, text, legacy: file.legacy, variable: false }),
            Some(Text::Bytes(_)) => problems.push(Problem::error(origin, "is not UTF-8")),
            None => {}
        }
    }
    if let Some((name, chosen)) = Setting::find("BIRDHOUSE_AUTODEPLOY_EXTRA_SCHEDULER_JOBS")
        .and_then(|s| aliases::choose(collected, s.name, s.old, &mut Vec::new()))
    {
        let text = chosen.value.lossy();
        texts.push(JobText { origin: name.to_owned(), text, legacy: true, variable: true });
    }
    texts
}

/// Cuts a text into definitions; what is no definition is reported and left out.
pub fn definitions<'a>(text: &JobText, documents: &'a [Node], problems: &mut Vec<Problem>) -> Vec<Definition<'a>> {
    let mut found = Vec::new();
    for document in documents {
        match &document.value {
            Value::Null => {}
            Value::List(items) => {
                for node in items {
                    match node.value {
                        Value::Map(_) => found.push(Definition { name: None, node }),
                        Value::Null => {}
                        _ => problems.push(not_a_job(text, node)),
                    }
                }
            }
            // A single job written without the dash.
            Value::Map(entries)
                if document.get("schedule").is_some_and(|n| n.text().is_some()) && !entries.is_empty() =>
            {
                found.push(Definition { name: None, node: document });
            }
            Value::Map(entries) => {
                for (name, node) in entries {
                    match node.value {
                        Value::Map(_) => found.push(Definition { name: Some(name), node }),
                        _ => problems.push(not_a_job(text, node).at_name(name)),
                    }
                }
            }
            Value::Text(_) => problems.push(not_a_job(text, document)),
        }
    }
    found
}

fn not_a_job(text: &JobText, node: &Node) -> Problem {
    Problem::error(Origin::at(&text.origin, node.place), format!("expected a job, found {}", node.kind()))
        .hint("a job is a mapping with at least `schedule` and `command`, in a list or under its name")
}

/// Reads a text as YAML; a mistake is reported with its place.
pub fn documents(text: &JobText, problems: &mut Vec<Problem>) -> Vec<Node> {
    yaml::parse(&text.text).unwrap_or_else(|error| {
        problems.push(
            Problem::error(Origin::at(&text.origin, error.place), format!("is no YAML: {}", error.message))
                .hint("none of its jobs is used until it is mended"),
        );
        Vec::new()
    })
}
