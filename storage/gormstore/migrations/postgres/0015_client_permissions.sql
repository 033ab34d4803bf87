-- +goose Up
-- Since when a client has had what it may do for its users, as words of the form
-- key=microseconds. What was withdrawn and given back counts from then on.
ALTER TABLE clients ADD COLUMN permitted_since TEXT NOT NULL DEFAULT '';
