-- Reads the catalogue itself: to_regclass would answer from the session's cache, which waiting for an advisory lock does
-- not refresh, and so miss the table that another process has just made.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS class
    WHERE class.relname = 'schema_migrations' AND class.relkind = 'r' AND pg_catalog.pg_table_is_visible(class.oid)
) AS exists
