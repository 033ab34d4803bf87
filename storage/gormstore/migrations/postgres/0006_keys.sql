-- +goose Up
-- A key has one successor at most, however many replicas announce one. Which
-- key those from before succeeded is not known: each gets a name that no key
-- has.
ALTER TABLE signing_keys ADD COLUMN predecessor TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE signing_keys SET predecessor = '-' || kid;
CREATE UNIQUE INDEX signing_keys_successor ON signing_keys (alg, predecessor) WHERE revoked_at = 0;
