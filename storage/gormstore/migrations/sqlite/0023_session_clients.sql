-- +goose Up

-- The clients that codes were issued to in a session, separated by spaces. They are
-- notified of its end.
ALTER TABLE sessions ADD COLUMN clients TEXT NOT NULL DEFAULT '';

-- The session that a request is about whose clients are to be notified; empty: none.
ALTER TABLE code_requests ADD COLUMN session_id TEXT NOT NULL DEFAULT '';
