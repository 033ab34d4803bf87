-- +goose Up
-- An endpoint that several senders share.
CREATE TABLE delivery_configs (
    id                        TEXT    PRIMARY KEY,
    realm_id                  TEXT    NOT NULL REFERENCES realms (id),
    name                      TEXT    NOT NULL,
    enabled                   INTEGER NOT NULL,
    target                    TEXT    NOT NULL,
    url                       TEXT    NOT NULL,
    secret_key_id             TEXT    NOT NULL,
    secret                    BLOB    NOT NULL,
    custom_auth_header_name   TEXT    NOT NULL,
    custom_auth_header_key_id TEXT    NOT NULL,
    custom_auth_header        BLOB    NOT NULL,
    version                   INTEGER NOT NULL,
    created_at                INTEGER NOT NULL,
    updated_at                INTEGER NOT NULL
);
-- +goose StatementBegin
CREATE TRIGGER delivery_configs_after_insert AFTER INSERT ON delivery_configs BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER delivery_configs_after_update AFTER UPDATE ON delivery_configs BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER delivery_configs_after_delete AFTER DELETE ON delivery_configs BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd

-- Written for every sign-in, read by few, never changed: no foreign keys, and
-- ids that rise with time, so that the key grows at its end.
CREATE TABLE audit_events (
    id        TEXT    PRIMARY KEY,
    time      INTEGER NOT NULL,
    action    TEXT    NOT NULL,
    outcome   TEXT    NOT NULL,
    client_id TEXT    NOT NULL,
    user_uid  TEXT    NOT NULL,
    username  TEXT    NOT NULL,
    factor    TEXT    NOT NULL,
    trace_id  TEXT    NOT NULL,
    source    TEXT    NOT NULL,
    object    TEXT    NOT NULL,
    took      INTEGER NOT NULL
);
CREATE INDEX audit_events_time ON audit_events (time, id);
CREATE INDEX audit_events_user ON audit_events (user_uid, time, id);

-- The orders in which long lists are shown, so that the first and the last page
-- are read from an index; and what people look for in them, ignoring case.
CREATE INDEX accounts_created ON accounts (realm_id, kind, created_at, uid);
CREATE INDEX users_created ON users (realm_id, created_at, uid);
CREATE INDEX users_kind_created ON users (realm_id, kind, created_at, uid);
CREATE INDEX users_email_folded ON users (lower(email));
CREATE INDEX logins_username_folded ON logins (lower(username));
CREATE INDEX memberships_account_created ON memberships (account_uid, created_at, user_uid);
DROP INDEX memberships_user;
CREATE INDEX memberships_user_created ON memberships (user_uid, created_at, account_uid);
DROP INDEX security_profile_assignments_profile;
CREATE INDEX security_profile_assignments_profile ON security_profile_assignments (security_profile_id, party);
CREATE INDEX code_requests_created ON code_requests (created_at, id);
CREATE INDEX messages_sender ON messages (sender_id, id);
CREATE INDEX message_attempts_ended ON message_attempts (ended_at, message_id, number);
