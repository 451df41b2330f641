SELECT DISTINCT format('%I.%I', reader_schema.nspname, reader.relname) AS dependent
FROM pg_catalog.pg_class AS read
JOIN pg_catalog.pg_namespace AS read_schema ON read_schema.oid = read.relnamespace
JOIN pg_catalog.pg_depend AS depend
    ON depend.refobjid = read.oid AND depend.refclassid = 'pg_catalog.pg_class'::regclass
JOIN pg_catalog.pg_rewrite AS rule
    ON rule.oid = depend.objid AND depend.classid = 'pg_catalog.pg_rewrite'::regclass
JOIN pg_catalog.pg_class AS reader ON reader.oid = rule.ev_class
JOIN pg_catalog.pg_namespace AS reader_schema ON reader_schema.oid = reader.relnamespace
WHERE read_schema.nspname = $1
    AND quote_ident(read.relname) = ANY ($2)
    AND reader.oid <> read.oid
    AND NOT (reader_schema.nspname = $1 AND quote_ident(reader.relname) = ANY ($2))
ORDER BY 1
