SELECT quote_ident(part.relname) AS part, quote_ident(root.relname) AS root
FROM pg_catalog.pg_class AS part
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = part.relnamespace
JOIN pg_catalog.pg_class AS root ON root.oid = pg_catalog.pg_partition_root(part.oid)
WHERE namespace.nspname = $1 AND part.relispartition AND part.relkind IN ('r', 'p')
