-- +goose Up

-- How the server learns of changes that others make, as of its last sign of life; empty:
-- it has not said so.
ALTER TABLE servers ADD COLUMN hears TEXT NOT NULL DEFAULT '';

-- Messages that could not be delivered are counted and listed. Others are not in the index.
CREATE INDEX messages_dead ON messages (ended_at) WHERE state = 'dead';
