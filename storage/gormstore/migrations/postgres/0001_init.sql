-- +goose Up
-- Times and durations are microseconds, 0 standing for "never" or "not yet".
-- Keys sort by bytes, as they do in SQLite and whatever the server's locale is.
CREATE TABLE realms (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE password_profiles (
    id                  TEXT COLLATE "C" PRIMARY KEY,
    realm_id            TEXT COLLATE "C" NOT NULL REFERENCES realms (id),
    name                TEXT    NOT NULL,
    one_time_codes      BOOLEAN NOT NULL,
    username_format     TEXT    NOT NULL,
    code_alphabet       TEXT    NOT NULL,
    code_length         INTEGER NOT NULL,
    code_ttl            BIGINT  NOT NULL,
    lock_threshold      INTEGER NOT NULL,
    lock_duration       BIGINT  NOT NULL,
    lock_max_duration   BIGINT  NOT NULL,
    lock_forgets_after  BIGINT  NOT NULL,
    rule_min_length     INTEGER NOT NULL,
    rule_upper_case     BOOLEAN NOT NULL,
    rule_lower_case     BOOLEAN NOT NULL,
    rule_digit          BOOLEAN NOT NULL,
    rule_special        BOOLEAN NOT NULL,
    rule_max_repeated   INTEGER NOT NULL,
    version             BIGINT  NOT NULL,
    created_at          BIGINT  NOT NULL,
    updated_at          BIGINT  NOT NULL
);

CREATE TABLE security_profiles (
    id         TEXT COLLATE "C" PRIMARY KEY,
    realm_id   TEXT COLLATE "C" NOT NULL REFERENCES realms (id),
    name       TEXT   NOT NULL,
    roles      TEXT   NOT NULL,
    password   TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The key serves the sign-in, which knows the parties.
CREATE TABLE security_profile_assignments (
    party               TEXT COLLATE "C" NOT NULL,
    security_profile_id TEXT COLLATE "C" NOT NULL REFERENCES security_profiles (id),
    PRIMARY KEY (party, security_profile_id)
);
CREATE INDEX security_profile_assignments_profile ON security_profile_assignments (security_profile_id);

CREATE TABLE clients (
    id                    TEXT COLLATE "C" PRIMARY KEY,
    id_key                TEXT COLLATE "C" NOT NULL UNIQUE,
    name                  TEXT    NOT NULL,
    active                BOOLEAN NOT NULL,
    public                BOOLEAN NOT NULL,
    profile_id            TEXT COLLATE "C" NOT NULL REFERENCES password_profiles (id),
    grant_types           TEXT    NOT NULL,
    credential_otp        BOOLEAN NOT NULL,
    credential_password   BOOLEAN NOT NULL,
    roles                 TEXT    NOT NULL,
    minimum_roles         TEXT    NOT NULL,
    maximum_roles         TEXT    NOT NULL,
    allow_any_buyer       BOOLEAN NOT NULL,
    allow_any_supplier    BOOLEAN NOT NULL,
    allow_seller          BOOLEAN NOT NULL,
    account_uids          TEXT    NOT NULL,
    default_context_user  TEXT    NOT NULL,
    requires_context_user BOOLEAN NOT NULL,
    anonymous_buyer       BOOLEAN NOT NULL,
    access_token_ttl      BIGINT  NOT NULL,
    refresh_token_ttl     BIGINT  NOT NULL,
    refresh_idle_ttl      BIGINT  NOT NULL,
    anonymous_token_ttl   BIGINT  NOT NULL,
    reuse_refresh_tokens  BOOLEAN NOT NULL,
    signing_alg           TEXT    NOT NULL,
    xp                    TEXT    NOT NULL,
    version               BIGINT  NOT NULL,
    created_at            BIGINT  NOT NULL,
    updated_at            BIGINT  NOT NULL
);

CREATE TABLE client_secrets (
    id         TEXT COLLATE "C" PRIMARY KEY,
    client_key TEXT COLLATE "C" NOT NULL REFERENCES clients (id_key),
    name       TEXT   NOT NULL,
    pepper_id  TEXT   NOT NULL,
    digest     BYTEA  NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX client_secrets_client ON client_secrets (client_key);

CREATE TABLE accounts (
    uid        TEXT COLLATE "C" PRIMARY KEY,
    realm_id   TEXT COLLATE "C" NOT NULL REFERENCES realms (id),
    kind       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    name       TEXT    NOT NULL,
    active     BOOLEAN NOT NULL,
    xp         TEXT    NOT NULL,
    version    BIGINT  NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL,
    UNIQUE (realm_id, kind, id)
);

-- account_uid is empty for admin users, hence no foreign key.
CREATE TABLE users (
    uid               TEXT COLLATE "C" PRIMARY KEY,
    realm_id          TEXT COLLATE "C" NOT NULL REFERENCES realms (id),
    kind              TEXT COLLATE "C" NOT NULL,
    account_uid       TEXT COLLATE "C" NOT NULL,
    id                TEXT COLLATE "C" NOT NULL,
    first_name        TEXT    NOT NULL,
    last_name         TEXT    NOT NULL,
    email             TEXT    NOT NULL,
    email_key         TEXT COLLATE "C" NOT NULL,
    phone             TEXT    NOT NULL,
    active            BOOLEAN NOT NULL,
    locale            TEXT    NOT NULL,
    xp                TEXT    NOT NULL,
    tokens_valid_from BIGINT  NOT NULL,
    version           BIGINT  NOT NULL,
    created_at        BIGINT  NOT NULL,
    updated_at        BIGINT  NOT NULL,
    UNIQUE (realm_id, kind, account_uid, id)
);
CREATE INDEX users_email ON users (email_key) WHERE email_key <> '';

-- Every attempt updates its login. No index covers the columns it changes and
-- pages keep room, so that the new version stays on its page (HOT) and costs
-- no index entry.
CREATE TABLE logins (
    id                  TEXT COLLATE "C" PRIMARY KEY,
    profile_id          TEXT COLLATE "C" NOT NULL REFERENCES password_profiles (id),
    username            TEXT    NOT NULL,
    username_key        TEXT COLLATE "C" NOT NULL,
    user_uid            TEXT COLLATE "C" NOT NULL REFERENCES users (uid),
    active              BOOLEAN NOT NULL,
    password_hash       TEXT    NOT NULL,
    password_set_at     BIGINT  NOT NULL,
    sessions_valid_from BIGINT  NOT NULL,
    failures            INTEGER NOT NULL,
    last_failure_at     BIGINT  NOT NULL,
    locked_until        BIGINT  NOT NULL,
    lockout_version     BIGINT  NOT NULL,
    code_id             TEXT    NOT NULL,
    code_request_id     TEXT    NOT NULL,
    code_client_id      TEXT    NOT NULL,
    code_purpose        TEXT    NOT NULL,
    code_pepper_id      TEXT    NOT NULL,
    code_digest         BYTEA   NOT NULL,
    code_expires_at     BIGINT  NOT NULL,
    code_used_at        BIGINT  NOT NULL,
    version             BIGINT  NOT NULL,
    created_at          BIGINT  NOT NULL,
    updated_at          BIGINT  NOT NULL,
    UNIQUE (profile_id, username_key)
) WITH (fillfactor = 70);
CREATE INDEX logins_user ON logins (user_uid);

-- The lockout state of names that nobody has, under a digest of the name:
-- what people type there by mistake may be a password. quiet_day is the day of
-- the last failure; it serves the sweep and changes once a day at most.
CREATE TABLE phantoms (
    name_digest     BYTEA   PRIMARY KEY,
    failures        INTEGER NOT NULL,
    last_failure_at BIGINT  NOT NULL,
    locked_until    BIGINT  NOT NULL,
    lockout_version BIGINT  NOT NULL,
    quiet_day       BIGINT  NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX phantoms_quiet ON phantoms (quiet_day);

CREATE TABLE memberships (
    account_uid TEXT COLLATE "C" NOT NULL REFERENCES accounts (uid),
    user_uid    TEXT COLLATE "C" NOT NULL REFERENCES users (uid),
    roles       TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (account_uid, user_uid)
);
CREATE INDEX memberships_user ON memberships (user_uid);

-- Begun by every sign-in, advanced by every refresh: no foreign keys, and no
-- index on what a refresh changes.
CREATE TABLE families (
    id          TEXT COLLATE "C" PRIMARY KEY,
    client_id   TEXT   NOT NULL,
    user_uid    TEXT COLLATE "C" NOT NULL,
    login_id    TEXT COLLATE "C" NOT NULL,
    account_uid TEXT   NOT NULL,
    scope       TEXT   NOT NULL,
    amr         TEXT   NOT NULL,
    auth_time   BIGINT NOT NULL,
    seed_digest BYTEA  NOT NULL,
    generation  BIGINT NOT NULL,
    rotated_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    idle_until  BIGINT NOT NULL,
    revoked_at  BIGINT NOT NULL,
    created_at  BIGINT NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX families_expiry ON families (expires_at);
CREATE INDEX families_revoked ON families (revoked_at) WHERE revoked_at > 0;

CREATE TABLE revoked_tokens (
    jti        TEXT COLLATE "C" PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX revoked_tokens_expiry ON revoked_tokens (expires_at);

CREATE TABLE code_requests (
    id          TEXT COLLATE "C" PRIMARY KEY,
    client_id   TEXT   NOT NULL,
    profile_id  TEXT   NOT NULL,
    username    TEXT   NOT NULL,
    email       TEXT   NOT NULL,
    purpose     TEXT   NOT NULL,
    trace_id    TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL
);
CREATE INDEX code_requests_open ON code_requests (created_at) WHERE ended_at = 0;
CREATE INDEX code_requests_expiry ON code_requests (expires_at);

CREATE TABLE messages (
    id             TEXT COLLATE "C" PRIMARY KEY,
    request_id     TEXT    NOT NULL,
    sender_id      TEXT    NOT NULL,
    type           TEXT    NOT NULL,
    user_uid       TEXT    NOT NULL,
    trace_id       TEXT    NOT NULL,
    payload_key_id TEXT    NOT NULL,
    payload        BYTEA   NOT NULL,
    state          TEXT    NOT NULL,
    attempts       INTEGER NOT NULL,
    last_error     TEXT    NOT NULL,
    run_at         BIGINT  NOT NULL,
    lease_until    BIGINT  NOT NULL,
    expires_at     BIGINT  NOT NULL,
    created_at     BIGINT  NOT NULL,
    ended_at       BIGINT  NOT NULL
);
CREATE INDEX messages_queued ON messages (run_at) WHERE state = 'queued';
CREATE INDEX messages_queued_expiry ON messages (expires_at) WHERE state = 'queued';
CREATE INDEX messages_ended ON messages (ended_at) WHERE ended_at > 0;

CREATE TABLE senders (
    id                TEXT COLLATE "C" PRIMARY KEY,
    realm_id          TEXT COLLATE "C" NOT NULL REFERENCES realms (id),
    name              TEXT    NOT NULL,
    description       TEXT    NOT NULL,
    kind              TEXT    NOT NULL,
    types             TEXT    NOT NULL,
    url               TEXT    NOT NULL,
    shared_key_key_id TEXT    NOT NULL,
    shared_key        BYTEA   NOT NULL,
    elevated_roles    TEXT    NOT NULL,
    allow_all_buyers  BOOLEAN NOT NULL,
    allow_seller      BOOLEAN NOT NULL,
    account_uids      TEXT    NOT NULL,
    xp                TEXT    NOT NULL,
    version           BIGINT  NOT NULL,
    created_at        BIGINT  NOT NULL,
    updated_at        BIGINT  NOT NULL
);

CREATE TABLE signing_keys (
    kid            TEXT COLLATE "C" PRIMARY KEY,
    alg            TEXT   NOT NULL,
    public         BYTEA  NOT NULL,
    private_key_id TEXT   NOT NULL,
    private        BYTEA  NOT NULL,
    created_at     BIGINT NOT NULL,
    activates_at   BIGINT NOT NULL,
    retires_at     BIGINT NOT NULL,
    gone_at        BIGINT NOT NULL,
    revoked_at     BIGINT NOT NULL
);

-- ordinal is what makes two first peppers impossible.
CREATE TABLE peppers (
    id            TEXT COLLATE "C" PRIMARY KEY,
    ordinal       INTEGER NOT NULL UNIQUE,
    secret_key_id TEXT    NOT NULL,
    secret        BYTEA   NOT NULL,
    created_at    BIGINT  NOT NULL
);

-- Whoever changes configuration, by whatever program, tells every replica.
-- +goose StatementBegin
CREATE FUNCTION latchkey_config_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY latchkey_config;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON realms
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON password_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON security_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON clients
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON client_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON senders
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON peppers
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed();
