-- +goose Up
-- A second keyed digest of the one-time password, of the code and the name of the
-- login. It can be computed before the login is read, so that one statement reads the
-- login and redeems the code. Empty: the code was issued by an earlier version.
ALTER TABLE logins ADD COLUMN code_name_digest BYTEA NOT NULL DEFAULT '';
