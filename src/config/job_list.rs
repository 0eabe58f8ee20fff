//! All jobs of a configuration: built-ins first, then the definitions in their order, each name once.

use super::job::{self, Built};
use super::job_file::{definitions, documents, doubled, job_texts};
use super::resolve::Context;
use super::{Problem, yaml::Node};
use crate::job::{Builtin, Job, JobName};

/// Makes the list; what cannot be used is reported and left out.
pub fn jobs(context: &Context<'_>, problems: &mut Vec<Problem>) -> Vec<Job> {
    let mut list: Vec<Entry> = Builtin::ALL
        .iter()
        .filter_map(|builtin| job::implicit(*builtin, context, problems))
        .map(|job| Entry { job, implicit: true })
        .collect();
    for text in job_texts(context.collected, problems) {
        let documents: Vec<Node> = documents(&text, problems);
        if !documents.is_empty() {
            doubled(&text, problems);
        }
        for definition in definitions(&text, &documents, problems) {
            if let Some(built) = job::build(&text, &definition, context, problems) {
                add(&mut list, built, problems);
            }
        }
    }
    list.into_iter().map(|entry| entry.job).collect()
}

struct Entry {
    job: Job,
    /// It exists by itself; a definition of its name takes its place.
    implicit: bool,
}

fn add(list: &mut Vec<Entry>, mut built: Built, problems: &mut Vec<Problem>) {
    if built.unnamed {
        tell_apart(list, &mut built);
    }
    let Some(entry) = list.iter_mut().find(|e| e.job.name == built.job.name) else {
        list.push(Entry { job: built.job, implicit: false });
        return;
    };
    let mut same = built.job.clone();
    same.origin.clone_from(&entry.job.origin);
    if entry.implicit || built.replaces {
        *entry = Entry { job: built.job, implicit: false };
    } else if same != entry.job {
        let message = format!("is defined differently in {}, which holds", entry.job.origin);
        let hint = "give it another name, or say `override: true` in the later conf dir";
        problems.push(Problem { message, ..built.clash }.of_job(built.job.name.as_str()).hint(hint));
    }
}

/// Numbers a job without a name where another one does the same at another time.
fn tell_apart(list: &[Entry], built: &mut Built) {
    let first = built.job.name.clone();
    let taken = |job: &Job| {
        let differs = |other: &Job| Job { origin: job.origin.clone(), ..other.clone() } != *job;
        list.iter().any(|entry| entry.job.name == job.name && differs(&entry.job))
    };
    for number in 2.. {
        if !taken(&built.job) {
            return;
        }
        let Ok(name) = JobName::new(&format!("{first}-{number}")) else { return };
        built.job.log_file = name.log_file();
        built.job.name = name;
    }
}
