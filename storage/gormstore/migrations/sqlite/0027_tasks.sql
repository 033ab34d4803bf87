-- +goose Up

-- Work of administrators that takes longer than a request, and its result. The owner is a
-- row of servers while the task runs.
CREATE TABLE tasks (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    object     TEXT NOT NULL,
    request    BLOB NOT NULL,
    client_id  TEXT NOT NULL,
    user_uid   TEXT NOT NULL,
    username   TEXT NOT NULL,
    trace_id   TEXT NOT NULL,
    owner      TEXT NOT NULL,
    state      TEXT NOT NULL, -- waiting, running, done or failed
    events     INTEGER NOT NULL, -- that were read
    all_events INTEGER NOT NULL, -- that there are to read
    result     BLOB NOT NULL,
    failure    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL, -- 0: not yet
    expires_at INTEGER NOT NULL
);
CREATE INDEX tasks_kind ON tasks (kind, object, created_at);
CREATE INDEX tasks_open ON tasks (created_at) WHERE ended_at = 0;
CREATE INDEX tasks_expiry ON tasks (expires_at);

-- +goose Down

DROP TABLE tasks;
