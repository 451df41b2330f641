-- Which migrations were applied, and with what contents.
CREATE TABLE schema_migrations (
    migration_set text NOT NULL,
    name text NOT NULL,
    checksum bytea NOT NULL CHECK (octet_length(checksum) = 32),
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (migration_set, name)
);

COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 of the migration as it was applied';
