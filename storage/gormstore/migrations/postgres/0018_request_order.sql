-- +goose Up
-- The order in which requests were accepted, by all servers. A login keeps the number of
-- the request that issued its last one-time password, and that of its last verification
-- code, so that a request that is resolved late replaces no newer code.
CREATE SEQUENCE code_requests_seq;
ALTER TABLE code_requests ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE code_requests ALTER COLUMN seq SET DEFAULT nextval('code_requests_seq');
ALTER SEQUENCE code_requests_seq OWNED BY code_requests.seq;
ALTER TABLE code_requests ADD COLUMN superseded BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE logins ADD COLUMN code_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE logins ADD COLUMN verification_seq BIGINT NOT NULL DEFAULT 0;
