SELECT checksum
FROM schema_migrations
WHERE migration_set = $1 AND name = $2
