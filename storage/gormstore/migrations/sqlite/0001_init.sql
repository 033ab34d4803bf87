-- +goose Up
-- Times and durations are microseconds, 0 standing for "never" or "not yet".
CREATE TABLE realms (
    id         TEXT    PRIMARY KEY,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

CREATE TABLE password_profiles (
    id                 TEXT    PRIMARY KEY,
    realm_id           TEXT    NOT NULL REFERENCES realms (id),
    name               TEXT    NOT NULL,
    one_time_codes     INTEGER NOT NULL,
    username_format    TEXT    NOT NULL,
    code_alphabet      TEXT    NOT NULL,
    code_length        INTEGER NOT NULL,
    code_ttl           INTEGER NOT NULL,
    lock_threshold     INTEGER NOT NULL,
    lock_duration      INTEGER NOT NULL,
    lock_max_duration  INTEGER NOT NULL,
    lock_forgets_after INTEGER NOT NULL,
    rule_min_length    INTEGER NOT NULL,
    rule_upper_case    INTEGER NOT NULL,
    rule_lower_case    INTEGER NOT NULL,
    rule_digit         INTEGER NOT NULL,
    rule_special       INTEGER NOT NULL,
    rule_max_repeated  INTEGER NOT NULL,
    version            INTEGER NOT NULL,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
);

CREATE TABLE security_profiles (
    id         TEXT    PRIMARY KEY,
    realm_id   TEXT    NOT NULL REFERENCES realms (id),
    name       TEXT    NOT NULL,
    roles      TEXT    NOT NULL,
    password   TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

-- The key serves the sign-in, which knows the parties.
CREATE TABLE security_profile_assignments (
    party               TEXT NOT NULL,
    security_profile_id TEXT NOT NULL REFERENCES security_profiles (id),
    PRIMARY KEY (party, security_profile_id)
);
CREATE INDEX security_profile_assignments_profile ON security_profile_assignments (security_profile_id);

CREATE TABLE clients (
    id                    TEXT    PRIMARY KEY,
    id_key                TEXT    NOT NULL UNIQUE,
    name                  TEXT    NOT NULL,
    active                INTEGER NOT NULL,
    public                INTEGER NOT NULL,
    profile_id            TEXT    NOT NULL REFERENCES password_profiles (id),
    grant_types           TEXT    NOT NULL,
    credential_otp        INTEGER NOT NULL,
    credential_password   INTEGER NOT NULL,
    roles                 TEXT    NOT NULL,
    minimum_roles         TEXT    NOT NULL,
    maximum_roles         TEXT    NOT NULL,
    allow_any_buyer       INTEGER NOT NULL,
    allow_any_supplier    INTEGER NOT NULL,
    allow_seller          INTEGER NOT NULL,
    account_uids          TEXT    NOT NULL,
    default_context_user  TEXT    NOT NULL,
    requires_context_user INTEGER NOT NULL,
    anonymous_buyer       INTEGER NOT NULL,
    access_token_ttl      INTEGER NOT NULL,
    refresh_token_ttl     INTEGER NOT NULL,
    refresh_idle_ttl      INTEGER NOT NULL,
    anonymous_token_ttl   INTEGER NOT NULL,
    reuse_refresh_tokens  INTEGER NOT NULL,
    signing_alg           TEXT    NOT NULL,
    xp                    TEXT    NOT NULL,
    version               INTEGER NOT NULL,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL
);

CREATE TABLE client_secrets (
    id         TEXT    PRIMARY KEY,
    client_key TEXT    NOT NULL REFERENCES clients (id_key),
    name       TEXT    NOT NULL,
    pepper_id  TEXT    NOT NULL,
    digest     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE INDEX client_secrets_client ON client_secrets (client_key);

CREATE TABLE accounts (
    uid        TEXT    PRIMARY KEY,
    realm_id   TEXT    NOT NULL REFERENCES realms (id),
    kind       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    active     INTEGER NOT NULL,
    xp         TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (realm_id, kind, id)
);

-- account_uid is empty for admin users, hence no foreign key.
CREATE TABLE users (
    uid               TEXT    PRIMARY KEY,
    realm_id          TEXT    NOT NULL REFERENCES realms (id),
    kind              TEXT    NOT NULL,
    account_uid       TEXT    NOT NULL,
    id                TEXT    NOT NULL,
    first_name        TEXT    NOT NULL,
    last_name         TEXT    NOT NULL,
    email             TEXT    NOT NULL,
    email_key         TEXT    NOT NULL,
    phone             TEXT    NOT NULL,
    active            INTEGER NOT NULL,
    locale            TEXT    NOT NULL,
    xp                TEXT    NOT NULL,
    tokens_valid_from INTEGER NOT NULL,
    version           INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    UNIQUE (realm_id, kind, account_uid, id)
);
CREATE INDEX users_email ON users (email_key) WHERE email_key <> '';

-- Every attempt updates its login, so no index covers the columns it changes.
CREATE TABLE logins (
    id                  TEXT    PRIMARY KEY,
    profile_id          TEXT    NOT NULL REFERENCES password_profiles (id),
    username            TEXT    NOT NULL,
    username_key        TEXT    NOT NULL,
    user_uid            TEXT    NOT NULL REFERENCES users (uid),
    active              INTEGER NOT NULL,
    password_hash       TEXT    NOT NULL,
    password_set_at     INTEGER NOT NULL,
    sessions_valid_from INTEGER NOT NULL,
    failures            INTEGER NOT NULL,
    last_failure_at     INTEGER NOT NULL,
    locked_until        INTEGER NOT NULL,
    lockout_version     INTEGER NOT NULL,
    code_id             TEXT    NOT NULL,
    code_request_id     TEXT    NOT NULL,
    code_client_id      TEXT    NOT NULL,
    code_purpose        TEXT    NOT NULL,
    code_pepper_id      TEXT    NOT NULL,
    code_digest         BLOB    NOT NULL,
    code_expires_at     INTEGER NOT NULL,
    code_used_at        INTEGER NOT NULL,
    version             INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    UNIQUE (profile_id, username_key)
);
CREATE INDEX logins_user ON logins (user_uid);

-- The lockout state of names that nobody has, under a digest of the name:
-- what people type there by mistake may be a password. quiet_day is the day of
-- the last failure; it serves the sweep and changes once a day at most.
CREATE TABLE phantoms (
    name_digest     BLOB    PRIMARY KEY,
    failures        INTEGER NOT NULL,
    last_failure_at INTEGER NOT NULL,
    locked_until    INTEGER NOT NULL,
    lockout_version INTEGER NOT NULL,
    quiet_day       INTEGER NOT NULL
);
CREATE INDEX phantoms_quiet ON phantoms (quiet_day);

CREATE TABLE memberships (
    account_uid TEXT    NOT NULL REFERENCES accounts (uid),
    user_uid    TEXT    NOT NULL REFERENCES users (uid),
    roles       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (account_uid, user_uid)
);
CREATE INDEX memberships_user ON memberships (user_uid);

-- Begun by every sign-in, advanced by every refresh: no foreign keys, and no
-- index on what a refresh changes.
CREATE TABLE families (
    id          TEXT    PRIMARY KEY,
    client_id   TEXT    NOT NULL,
    user_uid    TEXT    NOT NULL,
    login_id    TEXT    NOT NULL,
    account_uid TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    amr         TEXT    NOT NULL,
    auth_time   INTEGER NOT NULL,
    seed_digest BLOB    NOT NULL,
    generation  INTEGER NOT NULL,
    rotated_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    idle_until  INTEGER NOT NULL,
    revoked_at  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
);
CREATE INDEX families_expiry ON families (expires_at);
CREATE INDEX families_revoked ON families (revoked_at) WHERE revoked_at > 0;

CREATE TABLE revoked_tokens (
    jti        TEXT    PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
CREATE INDEX revoked_tokens_expiry ON revoked_tokens (expires_at);

CREATE TABLE code_requests (
    id          TEXT    PRIMARY KEY,
    client_id   TEXT    NOT NULL,
    profile_id  TEXT    NOT NULL,
    username    TEXT    NOT NULL,
    email       TEXT    NOT NULL,
    purpose     TEXT    NOT NULL,
    trace_id    TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL
);
CREATE INDEX code_requests_open ON code_requests (created_at) WHERE ended_at = 0;
CREATE INDEX code_requests_expiry ON code_requests (expires_at);

CREATE TABLE messages (
    id             TEXT    PRIMARY KEY,
    request_id     TEXT    NOT NULL,
    sender_id      TEXT    NOT NULL,
    type           TEXT    NOT NULL,
    user_uid       TEXT    NOT NULL,
    trace_id       TEXT    NOT NULL,
    payload_key_id TEXT    NOT NULL,
    payload        BLOB    NOT NULL,
    state          TEXT    NOT NULL,
    attempts       INTEGER NOT NULL,
    last_error     TEXT    NOT NULL,
    run_at         INTEGER NOT NULL,
    lease_until    INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    ended_at       INTEGER NOT NULL
);
CREATE INDEX messages_queued ON messages (run_at) WHERE state = 'queued';
CREATE INDEX messages_queued_expiry ON messages (expires_at) WHERE state = 'queued';
CREATE INDEX messages_ended ON messages (ended_at) WHERE ended_at > 0;

CREATE TABLE senders (
    id                TEXT    PRIMARY KEY,
    realm_id          TEXT    NOT NULL REFERENCES realms (id),
    name              TEXT    NOT NULL,
    description       TEXT    NOT NULL,
    kind              TEXT    NOT NULL,
    types             TEXT    NOT NULL,
    url               TEXT    NOT NULL,
    shared_key_key_id TEXT    NOT NULL,
    shared_key        BLOB    NOT NULL,
    elevated_roles    TEXT    NOT NULL,
    allow_all_buyers  INTEGER NOT NULL,
    allow_seller      INTEGER NOT NULL,
    account_uids      TEXT    NOT NULL,
    xp                TEXT    NOT NULL,
    version           INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
);

CREATE TABLE signing_keys (
    kid            TEXT    PRIMARY KEY,
    alg            TEXT    NOT NULL,
    public         BLOB    NOT NULL,
    private_key_id TEXT    NOT NULL,
    private        BLOB    NOT NULL,
    created_at     INTEGER NOT NULL,
    activates_at   INTEGER NOT NULL,
    retires_at     INTEGER NOT NULL,
    gone_at        INTEGER NOT NULL,
    revoked_at     INTEGER NOT NULL
);

-- ordinal is what makes two first peppers impossible.
CREATE TABLE peppers (
    id            TEXT    PRIMARY KEY,
    ordinal       INTEGER NOT NULL UNIQUE,
    secret_key_id TEXT    NOT NULL,
    secret        BLOB    NOT NULL,
    created_at    INTEGER NOT NULL
);

-- Whoever changes configuration, by whatever program, raises this number; the
-- processes that share the file watch it.
CREATE TABLE config_revision (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
);
INSERT INTO config_revision (id, revision) VALUES (1, 0);

-- +goose StatementBegin
CREATE TRIGGER realms_after_insert AFTER INSERT ON realms BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER realms_after_update AFTER UPDATE ON realms BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER realms_after_delete AFTER DELETE ON realms BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER password_profiles_after_insert AFTER INSERT ON password_profiles BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER password_profiles_after_update AFTER UPDATE ON password_profiles BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER password_profiles_after_delete AFTER DELETE ON password_profiles BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER security_profiles_after_insert AFTER INSERT ON security_profiles BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER security_profiles_after_update AFTER UPDATE ON security_profiles BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER security_profiles_after_delete AFTER DELETE ON security_profiles BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER clients_after_insert AFTER INSERT ON clients BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER clients_after_update AFTER UPDATE ON clients BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER clients_after_delete AFTER DELETE ON clients BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER client_secrets_after_insert AFTER INSERT ON client_secrets BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER client_secrets_after_update AFTER UPDATE ON client_secrets BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER client_secrets_after_delete AFTER DELETE ON client_secrets BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER senders_after_insert AFTER INSERT ON senders BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER senders_after_update AFTER UPDATE ON senders BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER senders_after_delete AFTER DELETE ON senders BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER signing_keys_after_insert AFTER INSERT ON signing_keys BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER signing_keys_after_update AFTER UPDATE ON signing_keys BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER signing_keys_after_delete AFTER DELETE ON signing_keys BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER peppers_after_insert AFTER INSERT ON peppers BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER peppers_after_update AFTER UPDATE ON peppers BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER peppers_after_delete AFTER DELETE ON peppers BEGIN
    UPDATE config_revision SET revision = revision + 1;
END;
-- +goose StatementEnd
