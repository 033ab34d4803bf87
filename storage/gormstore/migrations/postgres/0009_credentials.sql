-- +goose Up
-- The session that has set the login's password, which goes on although it is
-- older than sessions_valid_from.
ALTER TABLE logins ADD COLUMN kept_session TEXT NOT NULL DEFAULT '';

-- What the one-time password was asked for that the family's sign-in used.
ALTER TABLE families ADD COLUMN purpose TEXT NOT NULL DEFAULT '';

-- Where the user was reached before, for messages that tell of the change.
ALTER TABLE code_requests ADD COLUMN phone TEXT NOT NULL DEFAULT '';
