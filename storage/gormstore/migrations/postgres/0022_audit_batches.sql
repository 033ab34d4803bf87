-- +goose Up
-- Events are chained by batches, so that servers store their events side by side. An
-- event names its batch, and its seq is its number in the batch. Without a batch (0) it
-- was chained by itself.
ALTER TABLE audit_events ADD COLUMN batch BIGINT NOT NULL DEFAULT 0;

-- A row for each batch of events. seq is the number of its last event in the chain. The
-- MAC is over the row, the MAC of the previous batch, and that of its last event. A row
-- that somebody adds must not keep servers from writing, so seq is not unique.
CREATE TABLE audit_batches (
    id       BIGINT PRIMARY KEY,
    seq      BIGINT NOT NULL,
    events   BIGINT NOT NULL,
    key_id   TEXT NOT NULL,
    first_id TEXT NOT NULL,
    last_id  TEXT NOT NULL,
    mac      BYTEA NOT NULL
);
CREATE INDEX audit_batches_seq ON audit_batches (seq);
