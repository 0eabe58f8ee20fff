//! Texts that define jobs, cut into definitions. Each text and each definition stands alone.

use super::excerpt::Excerpt;
use super::probe::{Collected, Text, Written};
use super::rendered::Rendered;
use super::setting::Setting;
use super::template::Renderer;
use super::yaml::{self, Node, Span, Value};
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
    /// Where the variable is set.
    pub written: Option<Written>,
    /// What it was rendered from.
    pub template: Option<Rendered>,
}

impl JobText {
    /// A problem at a place of this text, with the lines that it stands in.
    pub fn placed(&self, mut problem: Problem, span: Span) -> Problem {
        let (source, range) = match &self.template {
            // Lines are those of the file that people edit.
            Some(template) => (&template.source, template.origin(span.start..span.end)),
            None => (&self.text, span.start..span.end),
        };
        problem.excerpt = Excerpt::of(source, range.clone()).filter(|_| span.line > 0);
        let place = match &self.template {
            Some(template) => template.place(range.start),
            None => span.into(),
        };
        problem.origin = Origin::at(&self.origin, place);
        match &self.written {
            Some(written) => {
                problem.note(format!("{} is set at {}:{}", self.origin, written.file.display(), written.line))
            }
            None => problem,
        }
    }
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
        let source = collected.files.get(&file.path);
        let text = match source {
            Some(text) if file.template => Some(Text::from(renderer.render(text.bytes()))),
            text => text.cloned(),
        };
        match text {
            Some(Text::Utf8(text)) => {
                let value = |name: &str| String::from_utf8(renderer.render(format!("${{{name}}}").as_bytes())).ok();
                let template = source.filter(|_| file.template);
                let template = template.and_then(|source| Rendered::of(&source.lossy(), &text, &value));
                texts.push(JobText { origin, text, legacy: file.legacy, variable: false, written: None, template });
            }
            Some(Text::Bytes(_)) => problems.push(Problem::error(origin, "is not UTF-8")),
            None => {}
        }
    }
    if let Some((name, chosen)) = Setting::find("BIRDHOUSE_AUTODEPLOY_EXTRA_SCHEDULER_JOBS")
        .and_then(|s| aliases::choose(collected, s.name, s.old, &mut Vec::new()))
    {
        let text = chosen.value.lossy();
        let written = chosen.written.clone();
        texts.push(JobText { origin: name.to_owned(), text, legacy: true, variable: true, written, template: None });
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
    let problem = Problem::error("", format!("{} is no job", node.kind()))
        .hint("a job is a mapping with at least `schedule` and `command`, in a list or under its name");
    text.placed(problem, node.mark())
}

/// Reads a text as YAML; a mistake is reported with its place.
pub fn documents(text: &JobText, problems: &mut Vec<Problem>) -> Vec<Node> {
    yaml::parse(&text.text).unwrap_or_else(|error| {
        let problem = Problem::error("", format!("is no YAML: {}", error.message))
            .hint("none of its jobs is used until it is mended");
        problems.push(text.placed(problem, error.span));
        Vec::new()
    })
}

/// Reports a key that stands in one mapping twice.
pub fn doubled(text: &JobText, problems: &mut Vec<Problem>) {
    if let Some(span) = yaml::doubled(&text.text) {
        let problem = Problem::warning("", "the key stands twice in one mapping, and the first one holds");
        problems.push(text.placed(problem.hint("take one of them out"), span));
    }
}
