-- +goose Up

-- Whoever changes configuration, by whatever program, says here which record it concerns.
-- The processes that share the file watch the table. Rows are deleted after an hour. An id
-- is never used again, so that no change hides behind one that was seen.
CREATE TABLE config_changes (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL, -- a table
    key        TEXT    NOT NULL, -- empty: all rows of the table
    changed_at INTEGER NOT NULL DEFAULT (unixepoch())
);
DROP TRIGGER realms_after_insert;
DROP TRIGGER realms_after_update;
DROP TRIGGER realms_after_delete;
DROP TRIGGER password_profiles_after_insert;
DROP TRIGGER password_profiles_after_update;
DROP TRIGGER password_profiles_after_delete;
DROP TRIGGER security_profiles_after_insert;
DROP TRIGGER security_profiles_after_update;
DROP TRIGGER security_profiles_after_delete;
DROP TRIGGER clients_after_insert;
DROP TRIGGER clients_after_update;
DROP TRIGGER clients_after_delete;
DROP TRIGGER client_secrets_after_insert;
DROP TRIGGER client_secrets_after_update;
DROP TRIGGER client_secrets_after_delete;
DROP TRIGGER senders_after_insert;
DROP TRIGGER senders_after_update;
DROP TRIGGER senders_after_delete;
DROP TRIGGER delivery_configs_after_insert;
DROP TRIGGER delivery_configs_after_update;
DROP TRIGGER delivery_configs_after_delete;
DROP TRIGGER signing_keys_after_insert;
DROP TRIGGER signing_keys_after_update;
DROP TRIGGER signing_keys_after_delete;
DROP TRIGGER peppers_after_insert;
DROP TRIGGER peppers_after_update;
DROP TRIGGER peppers_after_delete;
DROP TABLE config_revision;

-- +goose StatementBegin
CREATE TRIGGER realms_after_insert AFTER INSERT ON realms BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('realms', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER realms_after_update AFTER UPDATE ON realms BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('realms', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER realms_after_delete AFTER DELETE ON realms BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('realms', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER password_profiles_after_insert AFTER INSERT ON password_profiles BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('password_profiles', NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER password_profiles_after_update AFTER UPDATE ON password_profiles BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('password_profiles', OLD.id), ('password_profiles', NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER password_profiles_after_delete AFTER DELETE ON password_profiles BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('password_profiles', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER security_profiles_after_insert AFTER INSERT ON security_profiles BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('security_profiles', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER security_profiles_after_update AFTER UPDATE ON security_profiles BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('security_profiles', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER security_profiles_after_delete AFTER DELETE ON security_profiles BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('security_profiles', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER clients_after_insert AFTER INSERT ON clients BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('clients', NEW.id_key);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER clients_after_update AFTER UPDATE ON clients BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('clients', OLD.id_key), ('clients', NEW.id_key);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER clients_after_delete AFTER DELETE ON clients BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('clients', OLD.id_key);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER client_secrets_after_insert AFTER INSERT ON client_secrets BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('clients', NEW.client_key);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER client_secrets_after_update AFTER UPDATE ON client_secrets BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('clients', OLD.client_key), ('clients', NEW.client_key);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER client_secrets_after_delete AFTER DELETE ON client_secrets BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('clients', OLD.client_key);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER senders_after_insert AFTER INSERT ON senders BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('senders', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER senders_after_update AFTER UPDATE ON senders BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('senders', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER senders_after_delete AFTER DELETE ON senders BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('senders', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER delivery_configs_after_insert AFTER INSERT ON delivery_configs BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('delivery_configs', NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER delivery_configs_after_update AFTER UPDATE ON delivery_configs BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('delivery_configs', OLD.id), ('delivery_configs', NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER delivery_configs_after_delete AFTER DELETE ON delivery_configs BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('delivery_configs', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER signing_keys_after_insert AFTER INSERT ON signing_keys BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('signing_keys', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER signing_keys_after_update AFTER UPDATE ON signing_keys BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('signing_keys', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER signing_keys_after_delete AFTER DELETE ON signing_keys BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('signing_keys', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER peppers_after_insert AFTER INSERT ON peppers BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('peppers', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER peppers_after_update AFTER UPDATE ON peppers BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('peppers', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER peppers_after_delete AFTER DELETE ON peppers BEGIN
    INSERT INTO config_changes (kind, key) VALUES ('peppers', '');
END;
-- +goose StatementEnd
