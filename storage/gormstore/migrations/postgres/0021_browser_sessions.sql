-- +goose Up

-- Sign-ins of browsers at the hosted pages.
CREATE TABLE sessions (
    id            TEXT COLLATE "C" PRIMARY KEY,
    pepper_id     TEXT   NOT NULL,
    secret_digest BYTEA  NOT NULL, -- of the secret in the cookie
    client_id     TEXT   NOT NULL,
    user_uid      TEXT   NOT NULL,
    login_id      TEXT   NOT NULL,
    source_id     TEXT   NOT NULL,
    account_uid   TEXT   NOT NULL, -- that the user chose last; empty: none
    amr           TEXT   NOT NULL,
    purpose       TEXT   NOT NULL,
    auth_time     BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL,
    idle_until    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    ended_at      BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_uid);
CREATE INDEX sessions_idle ON sessions (idle_until);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at > 0;

-- Authorization codes.
CREATE TABLE authorizations (
    id            TEXT COLLATE "C" PRIMARY KEY,
    pepper_id     TEXT   NOT NULL,
    secret_digest BYTEA  NOT NULL,
    client_id     TEXT   NOT NULL,
    session_id    TEXT   NOT NULL,
    user_uid      TEXT   NOT NULL,
    login_id      TEXT   NOT NULL,
    source_id     TEXT   NOT NULL,
    account_uid   TEXT   NOT NULL,
    redirect_uri  TEXT   NOT NULL,
    scope         TEXT   NOT NULL,
    resources     TEXT   NOT NULL,
    nonce         TEXT   NOT NULL,
    challenge     TEXT   NOT NULL,
    jkt           TEXT   NOT NULL,
    amr           TEXT   NOT NULL,
    purpose       TEXT   NOT NULL,
    auth_time     BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    used_at       BIGINT NOT NULL, -- 0: not used
    family_id     TEXT   NOT NULL
);
CREATE INDEX authorizations_expiry ON authorizations (expires_at);

-- What users allowed third-party clients.
CREATE TABLE consents (
    user_uid   TEXT COLLATE "C" NOT NULL,
    client_id  TEXT COLLATE "C" NOT NULL,
    scope      TEXT   NOT NULL,
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (user_uid, client_id)
);
CREATE INDEX consents_client ON consents (client_id);
CREATE INDEX consents_granted ON consents (granted_at);

ALTER TABLE families ADD COLUMN session_id TEXT NOT NULL DEFAULT '';
CREATE INDEX families_session ON families (session_id) WHERE session_id <> '';

-- With what a one-time password that is requested is bound to a browser; empty: it is not.
ALTER TABLE code_requests ADD COLUMN binding TEXT NOT NULL DEFAULT '';

ALTER TABLE clients ADD COLUMN redirect_uris TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN post_logout_redirect_uris TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN backchannel_logout_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN third_party BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN id_token_alg TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN require_par BOOLEAN NOT NULL DEFAULT FALSE;
