-- +goose Up
-- Webhook signatures, end-to-end encryption and mail.
ALTER TABLE senders ADD COLUMN signature              TEXT    NOT NULL DEFAULT '';
ALTER TABLE senders ADD COLUMN signing_secrets_key_id TEXT    NOT NULL DEFAULT '';
ALTER TABLE senders ADD COLUMN signing_secrets        BLOB    NOT NULL DEFAULT x'';
ALTER TABLE senders ADD COLUMN public_jwk             TEXT    NOT NULL DEFAULT '';
ALTER TABLE senders ADD COLUMN smtp_host              TEXT    NOT NULL DEFAULT '';
ALTER TABLE senders ADD COLUMN smtp_port              INTEGER NOT NULL DEFAULT 0;
ALTER TABLE senders ADD COLUMN smtp_tls               TEXT    NOT NULL DEFAULT '';
ALTER TABLE senders ADD COLUMN smtp_username          TEXT    NOT NULL DEFAULT '';
ALTER TABLE senders ADD COLUMN smtp_password_key_id   TEXT    NOT NULL DEFAULT '';
ALTER TABLE senders ADD COLUMN smtp_password          BLOB    NOT NULL DEFAULT x'';
ALTER TABLE senders ADD COLUMN smtp_from              TEXT    NOT NULL DEFAULT '';
ALTER TABLE senders ADD COLUMN smtp_site_name         TEXT    NOT NULL DEFAULT '';
