-- A store as the first release left it. Never change it.
CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    job         TEXT NOT NULL,
    planned_for INTEGER NOT NULL,
    era         INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    part        INTEGER NOT NULL,
    state       TEXT NOT NULL,
    due         INTEGER NOT NULL,
    document    TEXT NOT NULL,
    UNIQUE (job, era, planned_for, part, attempt)
) STRICT;
CREATE INDEX runs_unfinished ON runs (due) WHERE state <> 'finished';
CREATE INDEX runs_newest ON runs (planned_for);
CREATE TABLE watermarks (
    job TEXT PRIMARY KEY,
    at  INTEGER NOT NULL,
    era INTEGER NOT NULL
) STRICT;
CREATE TABLE skips (
    id         INTEGER PRIMARY KEY,
    job        TEXT NOT NULL,
    first_at   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    reason     TEXT NOT NULL
) STRICT;
CREATE INDEX skips_by_job ON skips (job, last_at);
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
INSERT INTO runs VALUES ('00000000001e', 'sync', 30, 2, 1, 0, 'finished', 30000, '{"id":"00000000001e","occurrence":{"job":"sync","planned_for":"1970-01-01T00:00:30Z","era":2,"attempt":1,"part":0},"trigger":"schedule","state":{"finished":"succeeded"},"due":"1970-01-01T00:00:30Z","started_at":"1970-01-01T00:00:30Z","finished_at":"1970-01-01T00:00:35Z","exit_code":null,"image":null,"container_name":null,"log_file":"sync.log","extra_env":{},"result":null,"output_note":null}');
INSERT INTO runs VALUES ('00000000003c', 'backup', 60, 2, 1, 0, 'finished', 60000, '{"id":"00000000003c","occurrence":{"job":"backup","planned_for":"1970-01-01T00:01:00Z","era":2,"attempt":1,"part":0},"trigger":"schedule","state":{"finished":{"failed":{"code":1,"oom":false}}},"due":"1970-01-01T00:01:00Z","started_at":"1970-01-01T00:01:00Z","finished_at":"1970-01-01T00:01:05Z","exit_code":null,"image":null,"container_name":null,"log_file":"backup.log","extra_env":{},"result":null,"output_note":null}');
INSERT INTO runs VALUES ('000000000078', 'backup', 120, 2, 1, 0, 'running', 120000, '{"id":"000000000078","occurrence":{"job":"backup","planned_for":"1970-01-01T00:02:00Z","era":2,"attempt":1,"part":0},"trigger":"schedule","state":{"running":{"container":"c1","deadline":"1970-01-01T01:02:00Z"}},"due":"1970-01-01T00:02:00Z","started_at":"1970-01-01T00:02:00Z","finished_at":null,"exit_code":null,"image":null,"container_name":null,"log_file":"backup.log","extra_env":{},"result":null,"output_note":null}');
INSERT INTO skips VALUES (1, 'b', 70, 90, 3, '"overlap"');
INSERT INTO watermarks VALUES ('backup', 120, 2);
INSERT INTO meta VALUES ('era', '2'), ('x', 'y');
PRAGMA journal_mode = WAL;
PRAGMA user_version = 1;
