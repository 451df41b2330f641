SELECT
    acl.privilege_type AS privilege,
    CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(acl.grantee)) END
        || CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS grantee
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
CROSS JOIN LATERAL pg_catalog.aclexplode(class.relacl) AS acl
WHERE namespace.nspname = $1 AND quote_ident(class.relname) = $2 AND acl.grantee <> class.relowner
