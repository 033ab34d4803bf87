-- +goose Up

-- Administrators find users of all companies by the beginning of the last name.
CREATE INDEX users_last_name_folded ON users (lower(last_name), uid);

-- The end of a consent ends the tokens that the client got by it. Only families that began
-- in a session of a browser can have a consent.
CREATE INDEX families_consent ON families (user_uid, client_id) WHERE session_id <> '';
