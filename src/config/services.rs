//! Services that jobs name and the stack does not have.

use super::Problem;
use super::wrong::meant;
use crate::job::{Action, Job};

/// Warnings about the actions that ask for a one-off container of a service that is none of these. A
/// deploy may bring it.
pub fn unknown_services(jobs: &[Job], known: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for job in jobs {
        let later = job.follow_ups.lists().into_iter().flat_map(|(_, actions)| actions);
        for action in std::iter::once(&job.action).chain(later) {
            let Action::ServiceRun(run) = action else { continue };
            if !known.contains(&run.service) {
                let message = "is no service of the version that was deployed last";
                let problem = Problem::warning(job.origin.clone(), message)
                    .of_job(job.name.as_str())
                    .at("service-run", &run.service);
                problems.push(match meant(&run.service, known.iter().map(String::as_str)) {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{FollowUps, JobName, Policy, ServiceRun};
    use crate::schedule::Schedule;
    use crate::secret::Environment;

    #[test]
    fn a_service_that_is_not_there_is_named() {
        let run = |service: &str| {
            Action::ServiceRun(Box::new(ServiceRun {
                service: service.to_owned(),
                command: vec![],
                entrypoint: None,
                env: Environment::default(),
                user: None,
                workdir: None,
            }))
        };
        let schedule = Schedule::parse("@manual", chrono_tz::UTC, "a").unwrap();
        let follow_ups = FollowUps { always: vec![run("db"), run("wep")], ..FollowUps::default() };
        let job = Job { follow_ups, ..Job::new(JobName::new("a").unwrap(), schedule, run("web"), Policy::default()) };
        let problems = unknown_services(&[job], &["web".to_owned(), "db".to_owned()]);
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("wep") && said[0].contains("web") && said[0].contains("\"a\""), "{}", said[0]);
    }
}
