//! From the answer to `inspect` to [`Seen`].

use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, HealthConfig, HealthStatusEnum,
    MountPoint,
};
use chrono::{DateTime, Utc};

use crate::engine::{EngineError, HealthState, Healthcheck, Life, Result, Seen, SeenMount};

/// Reads what the engine says of a container.
pub(super) fn seen(answer: ContainerInspectResponse) -> Result<Seen> {
    let missing = |what: &str| EngineError::Protocol(format!("a container without {what}"));
    let state = answer.state.ok_or_else(|| missing("state"))?;
    let config = answer.config.unwrap_or_default();
    let life = life(&state);
    let policy = answer.host_config.and_then(|h| h.restart_policy).and_then(|p| p.name);
    let restart_policy = policy.map(|name| name.to_string()).filter(|name| !name.is_empty());
    let networks = answer.network_settings.and_then(|n| n.networks).unwrap_or_default();
    let mut networks: Vec<String> = networks.into_keys().collect();
    networks.sort();
    Ok(Seen {
        id: answer.id.ok_or_else(|| missing("id"))?,
        name: answer.name.ok_or_else(|| missing("name"))?.trim_start_matches('/').to_owned(),
        life,
        exit_code: state.exit_code.filter(|_| life == Life::Exited),
        oom: state.oom_killed.unwrap_or(false),
        started_at: instant(state.started_at.as_deref()),
        finished_at: instant(state.finished_at.as_deref()),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        image: answer.image.unwrap_or_default(),
        restart_count: answer.restart_count.unwrap_or(0),
        health: health(&state),
        restart_policy: restart_policy.unwrap_or_else(|| "no".to_owned()),
        healthcheck: config.healthcheck.as_ref().and_then(healthcheck),
        mounts: answer.mounts.unwrap_or_default().into_iter().map(mount).collect(),
        networks,
        stop_timeout: config.stop_timeout.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs),
        pid: state.pid.filter(|pid| *pid > 0),
    })
}

fn life(state: &ContainerState) -> Life {
    match state.status {
        Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING) => Life::Running,
        Some(Status::EXITED) => Life::Exited,
        Some(Status::REMOVING | Status::DEAD) => Life::Removing,
        Some(Status::CREATED | Status::EMPTY | Status::STOPPING) | None => match state.running {
            Some(true) => Life::Running,
            _ => Life::Created,
        },
    }
}

/// An instant as the engine writes it; what never happened is the year 1.
fn instant(text: Option<&str>) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text?).ok()?.with_timezone(&Utc);
    (time.timestamp() > 0).then_some(time)
}

fn health(state: &ContainerState) -> HealthState {
    match state.health.as_ref().and_then(|h| h.status) {
        Some(HealthStatusEnum::STARTING) => HealthState::Starting,
        Some(HealthStatusEnum::HEALTHY) => HealthState::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => HealthState::Unhealthy,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => HealthState::None,
    }
}

/// The settings, with the engine's defaults where it says 0 (it does not store its defaults).
fn healthcheck(config: &HealthConfig) -> Option<Healthcheck> {
    let test = config.test.as_deref().unwrap_or_default();
    if test.is_empty() || test[0] == "NONE" {
        return None;
    }
    let time = |ns: Option<i64>, default: u64| match ns.and_then(|n| u64::try_from(n).ok()) {
        Some(ns) if ns > 0 => Duration::from_nanos(ns),
        _ => Duration::from_secs(default),
    };
    let retries = config.retries.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(3);
    Some(Healthcheck {
        interval: time(config.interval, 30),
        timeout: time(config.timeout, 30),
        start_period: time(config.start_period, 0),
        retries,
    })
}

fn mount(point: MountPoint) -> SeenMount {
    SeenMount {
        kind: point.typ.map(|kind| kind.to_string()).unwrap_or_default(),
        name: point.name.filter(|name| !name.is_empty()),
        source: point.source.unwrap_or_default().into(),
        target: point.destination.unwrap_or_default().into(),
        writable: point.rw.unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<Seen> {
        seen(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn an_exited_container() {
        let seen = parsed(
            r#"{"Id":"ab","Name":"/web","RestartCount":2,"Image":"sha256:1",
                "State":{"Status":"exited","Running":false,"OOMKilled":true,"Pid":0,"ExitCode":137,
                         "StartedAt":"2026-03-29T01:00:00.5Z","FinishedAt":"2026-03-29T01:00:02Z"},
                "HostConfig":{"RestartPolicy":{"Name":"unless-stopped"}},
                "Mounts":[{"Type":"volume","Name":"v","Source":"/d/v","Destination":"/v","RW":true},
                          {"Type":"bind","Source":"/a","Destination":"/b","RW":false}],
                "Config":{"StopTimeout":90,"Labels":{"a":"b"},"Healthcheck":{"Test":["CMD","x"],"Interval":5000000000}},
                "NetworkSettings":{"Networks":{"b":{},"a":{}}}}"#,
        )
        .unwrap();
        assert_eq!((seen.name.as_str(), seen.life, seen.exit_code, seen.oom), ("web", Life::Exited, Some(137), true));
        assert_eq!((seen.pid, seen.stop_timeout), (None, Some(Duration::from_secs(90))));
        assert_eq!(seen.started_at.unwrap().timestamp_subsec_millis(), 500);
        assert_eq!(seen.restart_policy, "unless-stopped");
        assert_eq!(seen.networks, ["a", "b"]);
        assert!(seen.mounts[0].writable && seen.mounts[0].name.as_deref() == Some("v") && !seen.mounts[1].writable);
        let check = seen.healthcheck.unwrap();
        assert_eq!((check.interval.as_secs(), check.timeout.as_secs(), check.retries), (5, 30, 3));
    }

    #[test]
    fn a_container_that_never_ran_has_no_times_and_no_code() {
        let seen = parsed(
            r#"{"Id":"ab","Name":"/x","State":{"Status":"created","ExitCode":0,
                "StartedAt":"0001-01-01T00:00:00Z","FinishedAt":"0001-01-01T00:00:00Z"},
                "Config":{"Healthcheck":{"Test":["NONE"]}}}"#,
        )
        .unwrap();
        assert_eq!((seen.life, seen.exit_code), (Life::Created, None));
        assert_eq!((seen.started_at, seen.finished_at, seen.healthcheck), (None, None, None));
        assert_eq!(seen.restart_policy, "no");
    }

    #[test]
    fn states() {
        for (status, life) in [
            ("running", Life::Running),
            ("paused", Life::Running),
            ("restarting", Life::Running),
            ("removing", Life::Removing),
            ("dead", Life::Removing),
        ] {
            let json = format!(r#"{{"Id":"a","Name":"/a","State":{{"Status":"{status}","ExitCode":1}}}}"#);
            let seen = parsed(&json).unwrap();
            assert_eq!((seen.life, seen.exit_code), (life, None), "{status}");
        }
        assert!(matches!(parsed("{}"), Err(EngineError::Protocol(_))));
    }
}
