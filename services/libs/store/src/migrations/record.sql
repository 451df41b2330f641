INSERT INTO schema_migrations (migration_set, name, checksum)
VALUES ($1, $2, $3)
