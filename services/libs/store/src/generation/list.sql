SELECT namespace.nspname::text AS schema, description.description AS comment
FROM pg_catalog.pg_namespace AS namespace
JOIN pg_catalog.pg_description AS description
    ON description.objoid = namespace.oid AND description.classoid = 'pg_catalog.pg_namespace'::regclass
