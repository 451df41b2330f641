SELECT
    CASE class.relkind
        WHEN 'v' THEN 'view'
        WHEN 'm' THEN 'materialized view'
        WHEN 'S' THEN 'sequence'
        ELSE 'table'
    END AS kind,
    quote_ident(class.relname) AS name,
    class.relispartition AS is_partition
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE namespace.nspname = $1
    AND class.relkind IN ('r', 'p', 'v', 'm', 'S')
    -- A sequence that belongs to a column goes with its table.
    AND NOT (class.relkind = 'S' AND EXISTS (
        SELECT FROM pg_catalog.pg_depend AS depend
        WHERE depend.objid = class.oid AND depend.deptype IN ('a', 'i')
            AND depend.refclassid = 'pg_catalog.pg_class'::regclass
    ))
UNION ALL
SELECT
    'routine',
    quote_ident(routine.proname) || '(' || pg_catalog.pg_get_function_identity_arguments(routine.oid) || ')',
    false
FROM pg_catalog.pg_proc AS routine
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = routine.pronamespace
WHERE namespace.nspname = $1 AND routine.prokind IN ('f', 'p')
UNION ALL
SELECT 'type', quote_ident(type.typname), false
FROM pg_catalog.pg_type AS type
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = type.typnamespace
WHERE namespace.nspname = $1 AND type.typtype IN ('e', 'd')
