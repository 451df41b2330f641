-- On the relation, and on those of its columns that the one in schema $3 has, too.
SELECT
    acl.privilege_type || coalesce(' (' || quote_ident(acl.attname) || ')', '') AS privilege,
    CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(acl.grantee)) END
        || CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS grantee
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
CROSS JOIN LATERAL (
    SELECT NULL::name AS attname, entry.* FROM pg_catalog.aclexplode(class.relacl) AS entry
    UNION ALL
    SELECT one.attname, entry.*
    FROM pg_catalog.pg_attribute AS one
    CROSS JOIN LATERAL pg_catalog.aclexplode(one.attacl) AS entry
    WHERE one.attrelid = class.oid AND EXISTS (
        SELECT FROM pg_catalog.pg_class AS next
        JOIN pg_catalog.pg_namespace AS next_schema ON next_schema.oid = next.relnamespace
        JOIN pg_catalog.pg_attribute AS other ON other.attrelid = next.oid
        WHERE next_schema.nspname = $3 AND next.relname = class.relname AND other.attname = one.attname
    )
) AS acl
WHERE namespace.nspname = $1 AND quote_ident(class.relname) = $2 AND acl.grantee <> class.relowner
