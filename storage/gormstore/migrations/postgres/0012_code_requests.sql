-- +goose Up
-- Workers take turns over the sources and clients of the requests that wait.
ALTER TABLE code_requests ADD COLUMN source TEXT NOT NULL DEFAULT '';
DROP INDEX code_requests_open;
CREATE INDEX code_requests_open ON code_requests (source, client_id, created_at) WHERE ended_at = 0;
-- A claim rewrites the row and no index: it needs room on the same page.
ALTER TABLE code_requests SET (fillfactor = 70);

-- A budget may have a second limit, for a longer time.
ALTER TABLE send_limits ADD COLUMN long_tat   BIGINT NOT NULL DEFAULT 0;
ALTER TABLE send_limits ADD COLUMN long_gap   BIGINT NOT NULL DEFAULT 0;
ALTER TABLE send_limits ADD COLUMN long_depth BIGINT NOT NULL DEFAULT 0;

-- How many equal events one stands for; 0: itself alone.
ALTER TABLE audit_events ADD COLUMN count BIGINT NOT NULL DEFAULT 0;
