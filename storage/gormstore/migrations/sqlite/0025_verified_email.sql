-- +goose Up

-- The address that is known to be the user's, normalized; empty: none is.
ALTER TABLE users ADD COLUMN verified_email TEXT NOT NULL DEFAULT '';

-- The address, normalized, that the code was mailed to and nowhere else; empty: it was
-- sent in another way too.
ALTER TABLE logins ADD COLUMN code_mailed_to TEXT NOT NULL DEFAULT '';
ALTER TABLE verification_codes ADD COLUMN mailed_to TEXT NOT NULL DEFAULT '';
