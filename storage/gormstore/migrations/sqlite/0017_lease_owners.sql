-- +goose Up
-- The server that has claimed the row; '' if none has, or one that is not in the table
-- servers.
ALTER TABLE code_requests ADD COLUMN lease_owner TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN lease_owner TEXT NOT NULL DEFAULT '';
