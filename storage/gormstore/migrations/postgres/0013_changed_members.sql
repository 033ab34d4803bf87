-- +goose Up
-- The names of the members that an administrator's change gave another value,
-- separated by spaces.
ALTER TABLE audit_events ADD COLUMN changed TEXT NOT NULL DEFAULT '';
