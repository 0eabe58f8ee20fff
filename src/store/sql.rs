//! The questions whose cost matters: each is answered by an index, however long the history is.

/// All runs without an outcome.
pub(super) const UNFINISHED: &str =
    "SELECT document FROM runs WHERE state <> 'finished' ORDER BY due, planned_for, part, attempt, id";

/// A run by its id.
pub(super) const GET: &str = "SELECT document FROM runs WHERE id = ?1";

/// A run by its occurrence.
pub(super) const FIND: &str =
    "SELECT document FROM runs WHERE job = ?1 AND planned_for = ?2 AND era = ?3 AND attempt = ?4 AND part = ?5";

/// The newest runs.
pub(super) const RUNS: &str =
    "SELECT document FROM runs ORDER BY planned_for DESC, era DESC, part DESC, attempt DESC LIMIT ?1";

/// The newest runs of a job.
pub(super) const RUNS_OF_JOB: &str = "SELECT document FROM runs WHERE job = ?2
     ORDER BY planned_for DESC, era DESC, part DESC, attempt DESC LIMIT ?1";

/// The newest skips.
pub(super) const SKIPS: &str = "SELECT job, first_at, last_at, count, reason FROM skips ORDER BY last_at DESC LIMIT ?1";

/// The newest skips of a job.
pub(super) const SKIPS_OF_JOB: &str =
    "SELECT job, first_at, last_at, count, reason FROM skips WHERE job = ?2 ORDER BY last_at DESC LIMIT ?1";

/// All jobs that have runs, from one to the next instead of through all rows.
pub(super) const JOBS: &str = "WITH RECURSIVE jobs (job) AS (
         SELECT min(job) FROM runs
         UNION ALL
         SELECT (SELECT min(job) FROM runs WHERE job > jobs.job) FROM jobs WHERE jobs.job IS NOT NULL
     )
     SELECT job FROM jobs WHERE job IS NOT NULL";

/// The last finished main actions of a job: in the order of the unique index, from its end.
pub(super) const LAST_OF_JOB: &str = "SELECT document FROM runs WHERE job = ?1 AND part = 0 AND state = 'finished'
     ORDER BY era DESC, planned_for DESC, part DESC, attempt DESC LIMIT ?2";

/// The planned instant of the last run that stays when so many stay.
pub(super) const CUT: &str = "SELECT planned_for FROM runs ORDER BY planned_for DESC LIMIT 1 OFFSET ?1";

/// Drops some finished runs that were planned before an instant, oldest first; those of a job's last
/// occurrence stay. Gives when they were planned.
pub(super) const PRUNE: &str = "DELETE FROM runs WHERE rowid IN (
         SELECT old.rowid FROM runs AS old WHERE old.planned_for < ?1 AND old.state = 'finished' AND EXISTS (
             SELECT 1 FROM runs AS later
             WHERE later.job = old.job AND (later.era, later.planned_for) > (old.era, old.planned_for)
               AND later.part = 0 AND later.state = 'finished'
         )
         ORDER BY old.planned_for LIMIT ?2
     ) RETURNING planned_for";

/// The last instant of the last skips that stay when so many stay.
pub(super) const CUT_SKIPS: &str = "SELECT last_at FROM skips ORDER BY last_at DESC LIMIT 1 OFFSET ?1";

/// Drops some skips that ended before an instant.
pub(super) const PRUNE_SKIPS: &str =
    "DELETE FROM skips WHERE id IN (SELECT id FROM skips WHERE last_at < ?1 ORDER BY last_at LIMIT ?2)";

/// All of them, for a test that looks at how they are answered.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    UNFINISHED,
    GET,
    FIND,
    RUNS,
    RUNS_OF_JOB,
    SKIPS,
    SKIPS_OF_JOB,
    JOBS,
    LAST_OF_JOB,
    CUT,
    PRUNE,
    CUT_SKIPS,
    PRUNE_SKIPS,
];
