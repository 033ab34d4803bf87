-- +goose Up
-- An endpoint that several senders share.
CREATE TABLE delivery_configs (
    id                        TEXT COLLATE "C" PRIMARY KEY,
    realm_id                  TEXT COLLATE "C" NOT NULL REFERENCES realms (id),
    name                      TEXT    NOT NULL,
    enabled                   BOOLEAN NOT NULL,
    target                    TEXT    NOT NULL,
    url                       TEXT    NOT NULL,
    secret_key_id             TEXT    NOT NULL,
    secret                    BYTEA   NOT NULL,
    custom_auth_header_name   TEXT    NOT NULL,
    custom_auth_header_key_id TEXT    NOT NULL,
    custom_auth_header        BYTEA   NOT NULL,
    version                   BIGINT  NOT NULL,
    created_at                BIGINT  NOT NULL,
    updated_at                BIGINT  NOT NULL
);
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON delivery_configs
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed();

-- Written for every sign-in, read by few, never changed: no foreign keys, and
-- ids that rise with time, so that the key grows at its end.
CREATE TABLE audit_events (
    id        TEXT COLLATE "C" PRIMARY KEY,
    time      BIGINT NOT NULL,
    action    TEXT   NOT NULL,
    outcome   TEXT   NOT NULL,
    client_id TEXT   NOT NULL,
    user_uid  TEXT COLLATE "C" NOT NULL,
    username  TEXT   NOT NULL,
    factor    TEXT   NOT NULL,
    trace_id  TEXT   NOT NULL,
    source    TEXT   NOT NULL,
    object    TEXT   NOT NULL,
    took      BIGINT NOT NULL
);
CREATE INDEX audit_events_time ON audit_events (time, id);
CREATE INDEX audit_events_user ON audit_events (user_uid, time, id);

-- The orders in which long lists are shown, so that the first and the last page
-- are read from an index; and what people look for in them, ignoring case.
CREATE INDEX accounts_created ON accounts (realm_id, kind, created_at, uid);
CREATE INDEX users_created ON users (realm_id, created_at, uid);
CREATE INDEX users_kind_created ON users (realm_id, kind, created_at, uid);
CREATE INDEX users_email_folded ON users (lower(email COLLATE "C"));
CREATE INDEX logins_username_folded ON logins (lower(username COLLATE "C"));
CREATE INDEX memberships_account_created ON memberships (account_uid, created_at, user_uid);
DROP INDEX memberships_user;
CREATE INDEX memberships_user_created ON memberships (user_uid, created_at, account_uid);
DROP INDEX security_profile_assignments_profile;
CREATE INDEX security_profile_assignments_profile ON security_profile_assignments (security_profile_id, party);
CREATE INDEX code_requests_created ON code_requests (created_at, id);
CREATE INDEX messages_sender ON messages (sender_id, id);
CREATE INDEX message_attempts_ended ON message_attempts (ended_at, message_id, number);

-- What a path of names, joined by dots, leads to in an administrator's own data:
-- the words of a text or a boolean, or a number; else NULL. It is read by
-- functions because what is JSON elsewhere may be none here ("\u0000"), and one
-- such record must not end every list.
-- +goose StatementBegin
CREATE FUNCTION latchkey_member(data text, path text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    found jsonb;
    name  text;
BEGIN
    IF data = '' THEN
        RETURN NULL;
    END IF;
    found := data::jsonb;
    FOREACH name IN ARRAY string_to_array(path, '.') LOOP
        found := found -> name;
    END LOOP;
    RETURN found;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION latchkey_text(data text, path text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    found jsonb := latchkey_member(data, path);
BEGIN
    IF jsonb_typeof(found) IN ('string', 'boolean') THEN
        RETURN found #>> '{}';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION latchkey_number(data text, path text) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    found jsonb := latchkey_member(data, path);
BEGIN
    IF jsonb_typeof(found) = 'number' THEN
        RETURN found::numeric;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
