-- +goose Up
-- When earlier refresh tokens of a family were replaced, as GENERATION@MICROSECONDS
-- separated by spaces. The last replacement is in rotated_at.
ALTER TABLE families ADD COLUMN rotations TEXT NOT NULL DEFAULT '';
