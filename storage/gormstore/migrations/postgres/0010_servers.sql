-- +goose Up
-- The servers that run on this database. Each counts its beats up while it runs,
-- so that another one sees which rows were left behind by a server that was killed.
CREATE TABLE servers (
    id     TEXT NOT NULL PRIMARY KEY,
    issuer TEXT NOT NULL,
    beats  BIGINT NOT NULL
);
