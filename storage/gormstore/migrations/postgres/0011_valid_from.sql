-- +goose Up
-- Since when tokens and codes are valid: those issued before their user, account
-- or client was switched off stay ended when it is switched on again.
ALTER TABLE users              ADD COLUMN valid_from     BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE accounts           ADD COLUMN valid_from     BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE clients            ADD COLUMN valid_from     BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE logins             ADD COLUMN code_issued_at BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE verification_codes ADD COLUMN issued_at      BIGINT  NOT NULL DEFAULT 0;
-- Until now a client's tokens counted from a minute before it was created, for
-- the sake of servers with other clocks.
UPDATE clients SET valid_from = created_at - 60000000 WHERE created_at > 60000000;

-- Codes that are live keep their time of issue.
UPDATE logins SET code_issued_at = COALESCE((SELECT i.issued_at FROM issued_codes i WHERE i.id = logins.code_id), 0)
WHERE code_id <> '' AND code_used_at = 0;
UPDATE verification_codes SET issued_at = COALESCE((SELECT i.issued_at FROM issued_codes i WHERE i.id = verification_codes.id), 0)
WHERE used_at = 0;
