-- +goose Up
-- What send limits were charged: tat is when the budget would be whole again if
-- nobody asked any more (GCRA's theoretical arrival time), gap and depth the
-- limit it was charged under. Every request updates its rows: no index covers
-- what changes but the hour, which serves the sweep.
CREATE TABLE send_limits (
    id    TEXT COLLATE "C" PRIMARY KEY,
    tat   BIGINT NOT NULL,
    gap   BIGINT NOT NULL,
    depth BIGINT NOT NULL,
    hour  BIGINT NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX send_limits_hour ON send_limits (hour);

-- One row for each attempt that was settled.
CREATE TABLE message_attempts (
    message_id TEXT COLLATE "C" NOT NULL,
    number     INTEGER NOT NULL,
    state      TEXT NOT NULL,
    error      TEXT NOT NULL,
    began_at   BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    PRIMARY KEY (message_id, number)
);

-- What became of each code. While a code is its login's current one, the login
-- knows whether it was redeemed; that is copied here when another code takes its
-- place, so that a sign-in writes nothing more.
CREATE TABLE issued_codes (
    id          TEXT COLLATE "C" PRIMARY KEY,
    request_id  TEXT COLLATE "C" NOT NULL,
    login_id    TEXT COLLATE "C" NOT NULL,
    issued_at   BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    redeemed_at BIGINT NOT NULL,
    retired_at  BIGINT NOT NULL
);
CREATE INDEX issued_codes_request ON issued_codes (request_id);
CREATE INDEX issued_codes_expiry ON issued_codes (expires_at);

-- A message knows which code it carries, and is found by its request and, for
-- whoever looks at the queue, by its age.
ALTER TABLE messages ADD COLUMN code_id TEXT NOT NULL DEFAULT '';
CREATE INDEX messages_request ON messages (request_id);
CREATE INDEX messages_created ON messages (created_at);
