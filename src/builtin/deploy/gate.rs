//! Whether the services are well. The rule for one service is pure; the watching is a loop.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::engine::{HealthState, Life, Seen};

/// What is to be said of one service at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is well.
    Well(String),
    /// Not decided yet.
    Wait(String),
    /// It cannot become well any more.
    Failed(String),
}

/// How long services are watched.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a service without a health check must run.
    pub soak: Duration,
    /// The least time that a service gets to become healthy.
    pub timeout: Duration,
}

/// The time that a container gets to become well.
pub fn patience(seen: &Seen, limits: Limits) -> Duration {
    match seen.healthcheck {
        // Each probe may take its whole time limit before the pause to the next one begins.
        Some(check) => {
            (check.start_period + (check.interval + check.timeout) * check.retries.max(1)).max(limits.timeout)
        }
        None => limits.soak + Duration::from_secs(30),
    }
}

/// Judges one container: healthy where it has a health check (unhealthy in between is not final);
/// running for the soak time without a restart where it has none; a one-shot has ended with 0.
pub fn judge(seen: &Seen, restarts_before: i64, limits: Limits, now: DateTime<Utc>) -> Judgement {
    let one_shot = matches!(seen.restart_policy.as_str(), "" | "no" | "on-failure")
        || seen.labels.get("tender.oneshot").is_some_and(|v| v != "false");
    match (seen.life, seen.health) {
        (Life::Exited, _) if one_shot && seen.exit_code == Some(0) => Judgement::Well("ended with 0".into()),
        (Life::Exited, _) if one_shot && seen.restart_policy != "on-failure" => {
            Judgement::Failed(format!("ended with {}", seen.exit_code.unwrap_or(-1)))
        }
        (Life::Running, HealthState::Healthy) => Judgement::Well("healthy".into()),
        (Life::Running, HealthState::Starting) => Judgement::Wait("not healthy yet".into()),
        (Life::Running, HealthState::Unhealthy) => Judgement::Wait("unhealthy".into()),
        (Life::Running, HealthState::None) if seen.restart_count > restarts_before => {
            Judgement::Failed(format!("restarts again and again ({} times)", seen.restart_count - restarts_before))
        }
        (Life::Running, HealthState::None) => {
            let since = seen.started_at.map_or(Duration::ZERO, |at| (now - at).to_std().unwrap_or_default());
            if since >= limits.soak {
                Judgement::Well(format!("runs for {} s", since.as_secs()))
            } else {
                Judgement::Wait(format!("runs for {} s", since.as_secs()))
            }
        }
        (Life::Exited, _) => Judgement::Wait(format!("ended with {}", seen.exit_code.unwrap_or(-1))),
        (Life::Created, _) => Judgement::Wait("not started".into()),
        (Life::Removing, _) => Judgement::Wait("is being removed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Healthcheck;

    const LIMITS: Limits = Limits { soak: Duration::from_secs(10), timeout: Duration::from_secs(60) };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn seen(life: Life, health: HealthState, policy: &str, exit_code: Option<i64>) -> Seen {
        Seen {
            id: "c".into(),
            name: "web".into(),
            life,
            exit_code,
            oom: false,
            started_at: Some(at(100)),
            finished_at: None,
            labels: Default::default(),
            image: "i".into(),
            restart_count: 0,
            health,
            restart_policy: policy.into(),
            healthcheck: None,
            mounts: vec![],
            networks: vec![],
            stop_timeout: None,
            pid: None,
        }
    }

    #[test]
    fn the_rule_for_each_kind_of_service() {
        use HealthState::{Healthy, Starting, Unhealthy};
        use Life::{Created, Exited, Running};
        let judge = |s: &Seen| judge(s, 0, LIMITS, at(105));
        assert!(matches!(judge(&seen(Running, Healthy, "always", None)), Judgement::Well(_)));
        assert!(matches!(judge(&seen(Running, Starting, "always", None)), Judgement::Wait(_)));
        assert!(matches!(judge(&seen(Running, Unhealthy, "always", None)), Judgement::Wait(_)));
        assert!(matches!(judge(&seen(Running, HealthState::None, "always", None)), Judgement::Wait(_)));
        assert!(matches!(judge(&seen(Exited, HealthState::None, "no", Some(0))), Judgement::Well(_)));
        assert!(matches!(judge(&seen(Exited, HealthState::None, "no", Some(1))), Judgement::Failed(_)));
        assert!(matches!(judge(&seen(Exited, HealthState::None, "always", Some(0))), Judgement::Wait(_)));
        assert!(matches!(judge(&seen(Exited, HealthState::None, "on-failure", Some(1))), Judgement::Wait(_)));
        assert!(matches!(judge(&seen(Created, HealthState::None, "always", None)), Judgement::Wait(_)));
    }

    #[test]
    fn without_a_health_check_it_must_soak_without_a_restart() {
        let mut web = seen(Life::Running, HealthState::None, "always", None);
        assert!(matches!(judge(&web, 0, LIMITS, at(110)), Judgement::Well(_)));
        web.restart_count = 3;
        assert!(matches!(judge(&web, 2, LIMITS, at(110)), Judgement::Failed(_)));
        assert!(matches!(judge(&web, 3, LIMITS, at(110)), Judgement::Well(_)));
    }

    #[test]
    fn patience_follows_the_health_check() {
        let mut web = seen(Life::Running, HealthState::Starting, "always", None);
        assert_eq!(patience(&web, LIMITS), Duration::from_secs(40));
        web.healthcheck = Some(Healthcheck {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            start_period: Duration::from_secs(120),
            retries: 3,
        });
        assert_eq!(patience(&web, LIMITS), Duration::from_secs(240));
        web.healthcheck = Some(Healthcheck {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            start_period: Duration::ZERO,
            retries: 1,
        });
        assert_eq!(patience(&web, LIMITS), Duration::from_secs(60));
    }
}
