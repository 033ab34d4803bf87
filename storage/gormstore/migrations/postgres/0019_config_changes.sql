-- +goose Up

-- Whoever changes configuration, by whatever program, says here which record it concerns.
-- Replicas read the rows of the transactions that ended since they looked last; a
-- notification says when to look. Rows are deleted after an hour.
CREATE TABLE config_changes (
    kind       TEXT   NOT NULL, -- a table; empty: anything
    key        TEXT   NOT NULL, -- empty: all rows of the table
    changed_by XID8   NOT NULL DEFAULT pg_current_xact_id(),
    changed_at BIGINT NOT NULL DEFAULT extract(epoch FROM now())::bigint
);
CREATE INDEX config_changes_changed_by ON config_changes (changed_by);

DROP TRIGGER config_changed ON realms;
DROP TRIGGER config_changed ON password_profiles;
DROP TRIGGER config_changed ON security_profiles;
DROP TRIGGER config_changed ON clients;
DROP TRIGGER config_changed ON client_secrets;
DROP TRIGGER config_changed ON senders;
DROP TRIGGER config_changed ON delivery_configs;
DROP TRIGGER config_changed ON signing_keys;
DROP TRIGGER config_changed ON peppers;

-- The arguments of the trigger are the kind and, if records are cached one by one, the
-- column of their key.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION latchkey_config_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    former TEXT;
    present TEXT;
BEGIN
    IF TG_LEVEL = 'ROW' AND TG_NARGS = 2 THEN
        IF TG_OP <> 'INSERT' THEN former := to_jsonb(OLD) ->> TG_ARGV[1]; END IF;
        IF TG_OP <> 'DELETE' THEN present := to_jsonb(NEW) ->> TG_ARGV[1]; END IF;
        INSERT INTO config_changes (kind, key)
            SELECT DISTINCT TG_ARGV[0], k FROM unnest(ARRAY[former, present]) AS k WHERE k IS NOT NULL;
    ELSE
        INSERT INTO config_changes (kind, key) VALUES (TG_ARGV[0], '');
    END IF;
    NOTIFY latchkey_config;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON realms
    FOR EACH ROW EXECUTE FUNCTION latchkey_config_changed('realms');
CREATE TRIGGER config_truncated AFTER TRUNCATE ON realms
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed('');
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON password_profiles
    FOR EACH ROW EXECUTE FUNCTION latchkey_config_changed('password_profiles', 'id');
CREATE TRIGGER config_truncated AFTER TRUNCATE ON password_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed('');
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON security_profiles
    FOR EACH ROW EXECUTE FUNCTION latchkey_config_changed('security_profiles');
CREATE TRIGGER config_truncated AFTER TRUNCATE ON security_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed('');
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON clients
    FOR EACH ROW EXECUTE FUNCTION latchkey_config_changed('clients', 'id_key');
CREATE TRIGGER config_truncated AFTER TRUNCATE ON clients
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed('');
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON client_secrets
    FOR EACH ROW EXECUTE FUNCTION latchkey_config_changed('clients', 'client_key');
CREATE TRIGGER config_truncated AFTER TRUNCATE ON client_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed('');
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON senders
    FOR EACH ROW EXECUTE FUNCTION latchkey_config_changed('senders');
CREATE TRIGGER config_truncated AFTER TRUNCATE ON senders
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed('');
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON delivery_configs
    FOR EACH ROW EXECUTE FUNCTION latchkey_config_changed('delivery_configs', 'id');
CREATE TRIGGER config_truncated AFTER TRUNCATE ON delivery_configs
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed('');
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON signing_keys
    FOR EACH ROW EXECUTE FUNCTION latchkey_config_changed('signing_keys');
CREATE TRIGGER config_truncated AFTER TRUNCATE ON signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed('');
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON peppers
    FOR EACH ROW EXECUTE FUNCTION latchkey_config_changed('peppers');
CREATE TRIGGER config_truncated AFTER TRUNCATE ON peppers
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_config_changed('');
