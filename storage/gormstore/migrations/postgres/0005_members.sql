-- +goose Up
-- The settings of sign-ins by account members.
ALTER TABLE realms ADD COLUMN self_signup            BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE realms ADD COLUMN auto_create_account    BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE realms ADD COLUMN self_management        TEXT    NOT NULL DEFAULT 'disabled';
ALTER TABLE realms ADD COLUMN account_token_ttl      BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE realms ADD COLUMN redirect_uris          TEXT    NOT NULL DEFAULT '';
ALTER TABLE realms ADD COLUMN duplicate_email_policy TEXT    NOT NULL DEFAULT 'allowed';

ALTER TABLE users ADD COLUMN name        TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN middle_name TEXT NOT NULL DEFAULT '';

ALTER TABLE accounts ADD COLUMN legal_name      TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN registration_id TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN external_ref    TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN parent_uid      TEXT COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE senders ADD COLUMN active          BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE senders ADD COLUMN dialect         TEXT    NOT NULL DEFAULT '';
ALTER TABLE senders ADD COLUMN delivery_config TEXT COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE code_requests ADD COLUMN type     TEXT NOT NULL DEFAULT 'OneTimePassword';
ALTER TABLE code_requests ADD COLUMN user_uid TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE code_requests ADD COLUMN url      TEXT NOT NULL DEFAULT '';

-- A user of an account is a member of it, and each membership has an id (a
-- random UUID).
ALTER TABLE memberships ADD COLUMN id         TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE memberships ADD COLUMN version    BIGINT           NOT NULL DEFAULT 1;
ALTER TABLE memberships ADD COLUMN updated_at BIGINT           NOT NULL DEFAULT 0;
INSERT INTO memberships (account_uid, user_uid, roles, created_at)
SELECT u.account_uid, u.uid, '', u.created_at FROM users u JOIN accounts a ON a.uid = u.account_uid
WHERE NOT EXISTS (SELECT 1 FROM memberships m WHERE m.account_uid = u.account_uid AND m.user_uid = u.uid);
UPDATE memberships SET updated_at = created_at, id = gen_random_uuid()::text;
CREATE UNIQUE INDEX memberships_id ON memberships (id);

-- A family shows the membership in its account, and whoever ends all that a user
-- holds looks for its families.
ALTER TABLE families ALTER COLUMN account_uid TYPE TEXT COLLATE "C";
CREATE INDEX families_user ON families (user_uid);

-- A code with which a login may be given a new password. issued_codes knows what
-- became of it.
CREATE TABLE verification_codes (
    login_id   TEXT COLLATE "C" PRIMARY KEY REFERENCES logins (id) ON DELETE CASCADE,
    id         TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    client_id  TEXT   NOT NULL,
    pepper_id  TEXT   NOT NULL,
    digest     BYTEA  NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);
CREATE INDEX verification_codes_expiry ON verification_codes (expires_at);

-- The permanent passwords that a login had, each with the time it was set.
CREATE TABLE password_history (
    login_id TEXT COLLATE "C" NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    hash     TEXT COLLATE "C" NOT NULL,
    set_at   BIGINT NOT NULL,
    PRIMARY KEY (login_id, set_at, hash)
);
