-- +goose Up

-- The tokens of sign-ins with an Idempotency-Key, for clients that lost the answer.
CREATE TABLE kept_answers (
    id            TEXT    PRIMARY KEY, -- digest of the client and the key
    request       BLOB   NOT NULL,    -- digest of the request
    answer_key_id TEXT    NOT NULL,
    answer        BLOB   NOT NULL,    -- sealed
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
);
CREATE INDEX kept_answers_expiry ON kept_answers (expires_at);

-- +goose Down

DROP TABLE kept_answers;
