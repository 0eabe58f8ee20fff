//! How the scheduler is, and why it is not well.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::run::{Health, Reason};

/// The reasons that stand at this moment, by their stable code (a heading of `docs/runbook.md`).
#[derive(Debug, Default)]
pub struct Reasons {
    standing: BTreeMap<&'static str, (Health, Reason)>,
    changed: bool,
}

/// A kind of trouble: its code, how bad it is, what Tender does next, and the one command.
#[derive(Debug, Clone, Copy)]
pub struct Trouble {
    /// Stable code.
    pub code: &'static str,
    /// How bad it is.
    pub health: Health,
    /// What Tender does next.
    pub next: &'static str,
    /// The one command for a person.
    pub command: &'static str,
}

/// All kinds of trouble that the daemon can be in.
pub mod troubles {
    use super::{Health, Trouble};

    /// Parts of the configuration were refused.
    pub const CONFIG_REFUSED: Trouble = Trouble {
        code: "config-refused",
        health: Health::Degraded,
        next: "runs what is good, reads again when a file changes",
        command: "tender check",
    };
    /// The configuration could not be read at all.
    pub const CONFIG_UNREADABLE: Trouble = Trouble {
        code: "config-unreadable",
        health: Health::Degraded,
        next: "keeps the last good configuration, tries again every 30 s",
        command: "tender check",
    };
    /// The configuration on disk can be in force only after a restart.
    pub const RESTART_NEEDED: Trouble = Trouble {
        code: "restart-needed",
        health: Health::Degraded,
        next: "keeps the configuration as it is, the new one as a whole comes with a restart",
        command: "docker-compose restart scheduler",
    };
    /// A run cannot go on: the engine does not answer, or its outcome cannot be written.
    pub const RUN_IN_TROUBLE: Trouble = Trouble {
        code: "run-in-trouble",
        health: Health::Degraded,
        next: "keeps the run's container and tries again until it goes on",
        command: "docker version",
    };
    /// Containers of others bear the names of runs.
    pub const NAME_TAKEN: Trouble = Trouble {
        code: "name-taken",
        health: Health::Degraded,
        next: "touches no container of others; the next occurrence has another name",
        command: "docker ps -a --filter name=tender-",
    };
    /// The store cannot be written.
    pub const STORE_UNWRITABLE: Trouble = Trouble {
        code: "store-unwritable",
        health: Health::Failing,
        next: "keeps ended containers until their outcome can be written",
        command: "df -h",
    };
    /// The disk of the state dir is full, but for what is kept for records.
    pub const DISK_FULL: Trouble = Trouble {
        code: "disk-full",
        health: Health::Failing,
        next: "keeps recording; output stays with the engine, in containers that are kept until there is room",
        command: "df -h",
    };
    /// A log cannot be written.
    pub const LOG_UNWRITABLE: Trouble = Trouble {
        code: "log-unwritable",
        health: Health::Degraded,
        next: "keeps the output and writes it into the log as soon as it can",
        command: "tender logs RUN",
    };
    /// The store was damaged and set aside.
    pub const STORE_REPLACED: Trouble = Trouble {
        code: "store-replaced",
        health: Health::Degraded,
        next: "goes on with a new store; the old file lies beside it",
        command: "tender runs",
    };
    /// A deploy waits for a person.
    pub const DEPLOY_STUCK: Trouble =
        Trouble { code: "deploy-stuck", health: Health::Degraded, next: "touches nothing", command: "tender deploys" };
    /// The last deploy did not go through.
    pub const DEPLOY_FAILED: Trouble = Trouble {
        code: "deploy-failed",
        health: Health::Degraded,
        next: "waits for a newer commit",
        command: "tender deploys",
    };
    /// A checkout holds deploys back, or a remote cannot be asked.
    pub const DEPLOY_BLOCKED: Trouble = Trouble {
        code: "deploy-blocked",
        health: Health::Degraded,
        next: "looks again at the next occurrence of autodeploy",
        command: "tender plan",
    };
    /// The scheduler itself is older than the vector that is deployed.
    pub const SCHEDULER_BEHIND: Trouble = Trouble {
        code: "scheduler-behind",
        health: Health::Degraded,
        next: "goes on as it is",
        command: "docker-compose up -d --build scheduler",
    };
    /// A run without a time limit takes far longer than usual.
    pub const RUN_STUCK: Trouble = Trouble {
        code: "run-stuck",
        health: Health::Degraded,
        next: "leaves it alone; a `timeout` in its definition would end it",
        command: "tender status",
    };
    /// A service that was stopped for a run cannot be started again.
    pub const SERVICE_STILL_STOPPED: Trouble = Trouble {
        code: "service-still-stopped",
        health: Health::Degraded,
        next: "tries to start it again, every 10 s at most",
        command: "docker-compose ps",
    };
    /// Services that the engine did not bring back when it began.
    pub const SERVICES_DOWN: Trouble = Trouble {
        code: "services-down",
        health: Health::Degraded,
        next: "looks whether they run; `SCHEDULER_REVIVE=true` starts those with a restart policy",
        command: "docker-compose ps",
    };
    /// The alarm had to be restarted.
    pub const TICK_LOST: Trouble = Trouble {
        code: "tick-lost",
        health: Health::Degraded,
        next: "has restarted its alarm; nothing was missed",
        command: "tender status",
    };

    /// All of them.
    #[cfg(test)]
    pub const ALL: &[Trouble] = &[
        CONFIG_REFUSED,
        CONFIG_UNREADABLE,
        RESTART_NEEDED,
        RUN_IN_TROUBLE,
        NAME_TAKEN,
        STORE_UNWRITABLE,
        DISK_FULL,
        LOG_UNWRITABLE,
        STORE_REPLACED,
        DEPLOY_STUCK,
        DEPLOY_FAILED,
        DEPLOY_BLOCKED,
        SCHEDULER_BEHIND,
        RUN_STUCK,
        SERVICE_STILL_STOPPED,
        SERVICES_DOWN,
        TICK_LOST,
    ];
}

impl Reasons {
    /// Notes a trouble; one that stands already keeps its begin.
    pub fn raise(&mut self, trouble: Trouble, what: impl Into<String>) {
        let what = what.into();
        let since = self.standing.get(trouble.code).map_or_else(Utc::now, |(_, r)| r.since);
        self.raise_since(trouble, what, since);
    }

    /// Notes a trouble that began at a known instant.
    pub fn raise_since(&mut self, trouble: Trouble, what: impl Into<String>, since: DateTime<Utc>) {
        let reason = Reason {
            code: trouble.code.to_owned(),
            what: what.into(),
            since,
            next: trouble.next.to_owned(),
            command: trouble.command.to_owned(),
        };
        self.changed |= self.standing.get(trouble.code).is_none_or(|(_, before)| *before != reason);
        self.standing.insert(trouble.code, (trouble.health, reason));
    }

    /// Notes that a trouble is over.
    pub fn clear(&mut self, trouble: Trouble) {
        self.changed |= self.standing.remove(trouble.code).is_some();
    }

    /// Whether anything has changed since it was asked last.
    pub const fn has_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// Whether a trouble stands.
    pub fn stands(&self, trouble: Trouble) -> bool {
        self.standing.contains_key(trouble.code)
    }

    /// The worst of what stands.
    pub fn health(&self) -> Health {
        let any = |health| self.standing.values().any(|(h, _)| *h == health);
        if any(Health::Failing) {
            Health::Failing
        } else if any(Health::Degraded) {
            Health::Degraded
        } else {
            Health::Ok
        }
    }

    /// All reasons.
    pub fn list(&self) -> Vec<Reason> {
        self.standing.values().map(|(_, reason)| reason.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_trouble_counts_and_keeps_its_begin() {
        let mut reasons = Reasons::default();
        assert_eq!((reasons.health(), reasons.has_changed()), (Health::Ok, false));
        reasons.raise_since(troubles::CONFIG_REFUSED, "one", DateTime::UNIX_EPOCH);
        reasons.raise(troubles::CONFIG_REFUSED, "two");
        assert_eq!(reasons.list()[0].since, DateTime::UNIX_EPOCH);
        assert_eq!(reasons.list()[0].what, "two");
        assert_eq!((reasons.has_changed(), reasons.has_changed()), (true, false));
        assert_eq!(reasons.health(), Health::Degraded);
        reasons.raise(troubles::STORE_UNWRITABLE, "disk full");
        assert_eq!(reasons.health(), Health::Failing);
        reasons.clear(troubles::STORE_UNWRITABLE);
        reasons.clear(troubles::CONFIG_REFUSED);
        assert_eq!(reasons.health(), Health::Ok);
    }

    #[test]
    fn every_code_has_a_heading_in_the_runbook() {
        let runbook = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runbook.md")).unwrap();
        let mut headings: Vec<&str> =
            runbook.lines().filter_map(|l| l.strip_prefix("## `")?.strip_suffix('`')).collect();
        let mut codes: Vec<&str> = troubles::ALL.iter().map(|t| t.code).collect();
        headings.sort_unstable();
        codes.sort_unstable();
        assert_eq!(headings, codes);
    }
}
