-- +goose Up
-- The order in which requests were accepted, by all servers. A login keeps the number of
-- the request that issued its last one-time password, and that of its last verification
-- code, so that a request that is resolved late replaces no newer code. A number is never
-- given again (AUTOINCREMENT), which only the key of a new table can have.
CREATE TABLE numbered_requests (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    type        TEXT    NOT NULL,
    client_id   TEXT    NOT NULL,
    profile_id  TEXT    NOT NULL,
    username    TEXT    NOT NULL,
    email       TEXT    NOT NULL,
    phone       TEXT    NOT NULL,
    user_uid    TEXT    NOT NULL,
    purpose     TEXT    NOT NULL,
    url         TEXT    NOT NULL,
    trace_id    TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    lease_owner TEXT    NOT NULL DEFAULT '',
    ended_at    INTEGER NOT NULL,
    superseded  BOOLEAN NOT NULL DEFAULT FALSE
);
INSERT INTO numbered_requests (id, type, client_id, profile_id, username, email, phone, user_uid, purpose, url, trace_id,
    source, created_at, expires_at, lease_until, lease_owner, ended_at)
SELECT id, type, client_id, profile_id, username, email, phone, user_uid, purpose, url, trace_id,
    source, created_at, expires_at, lease_until, lease_owner, ended_at FROM code_requests ORDER BY created_at;
DROP TABLE code_requests;
ALTER TABLE numbered_requests RENAME TO code_requests;
CREATE INDEX code_requests_open ON code_requests (source, client_id, created_at) WHERE ended_at = 0;
CREATE INDEX code_requests_expiry ON code_requests (expires_at);
CREATE INDEX code_requests_created ON code_requests (created_at, id);
ALTER TABLE logins ADD COLUMN code_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE logins ADD COLUMN verification_seq INTEGER NOT NULL DEFAULT 0;
