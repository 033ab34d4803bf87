-- +goose Up
-- When the user accepted the terms of the site; 0: it did not.
ALTER TABLE users ADD COLUMN terms_accepted BIGINT NOT NULL DEFAULT 0;

-- The last sign-in of the login; 0: there was none.
ALTER TABLE logins ADD COLUMN last_active_at BIGINT NOT NULL DEFAULT 0;
