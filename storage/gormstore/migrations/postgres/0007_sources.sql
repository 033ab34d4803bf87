-- +goose Up
-- Addresses from which a login has signed in, each with failures of its own. A
-- sign-in from one that was seen lately writes nothing here; seen_at serves the
-- sweep and the choice of which one makes room.
CREATE TABLE login_sources (
    id              TEXT COLLATE "C" PRIMARY KEY,
    login_id        TEXT COLLATE "C" NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    address         TEXT COLLATE "C" NOT NULL,
    failures        INTEGER NOT NULL,
    last_failure_at BIGINT  NOT NULL,
    locked_until    BIGINT  NOT NULL,
    seen_at         BIGINT  NOT NULL,
    UNIQUE (login_id, address)
) WITH (fillfactor = 70);
CREATE INDEX login_sources_seen ON login_sources (seen_at);

-- Guesses made while a one-time password was live lock one-time passwords. What
-- was counted so far locked both, and does so until it is forgotten.
ALTER TABLE logins ADD COLUMN codes_failures        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE logins ADD COLUMN codes_last_failure_at BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE logins ADD COLUMN codes_locked_until    BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE logins ADD COLUMN notified_at           BIGINT  NOT NULL DEFAULT 0;
UPDATE logins SET codes_failures = failures, codes_last_failure_at = last_failure_at, codes_locked_until = locked_until
WHERE failures <> 0 OR locked_until <> 0;
ALTER TABLE phantoms ADD COLUMN codes_failures        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE phantoms ADD COLUMN codes_last_failure_at BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE phantoms ADD COLUMN codes_locked_until    BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE phantoms ADD COLUMN notified_at           BIGINT  NOT NULL DEFAULT 0;
UPDATE phantoms SET codes_failures = failures, codes_last_failure_at = last_failure_at, codes_locked_until = locked_until;

-- What a session keeps of its sign-in. Nobody looks for the families of a user
-- any more: from when on they stand, the user and the login say.
ALTER TABLE families ADD COLUMN source_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN resources TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN jkt       TEXT NOT NULL DEFAULT '';
DROP INDEX families_user;

ALTER TABLE clients ADD COLUMN auth_method            TEXT    NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN jwks                   TEXT    NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN resources              TEXT    NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN dpop_bound             BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN trust_address          BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN registration_pepper_id TEXT    NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN registration_digest    BYTEA   NOT NULL DEFAULT '';

-- What may be presented once only: digests of the ids of assertions and proofs.
CREATE TABLE spent_ids (
    id         BYTEA  PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX spent_ids_expiry ON spent_ids (expires_at);
