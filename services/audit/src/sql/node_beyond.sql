-- A node over entries behind the last one ($1), of which there can be none; or of a level or position that none has.
SELECT level, position
FROM audit_tree
WHERE position < 0 OR level <= 0 OR level % 8 <> 0 OR level > 56 OR ((position + 1)::numeric * (2::numeric ^ level)) > $1::bigint
ORDER BY level, position
LIMIT 1
