-- A checkpoint of more entries than there are ($1), or of none.
SELECT tree_size
FROM audit_checkpoints
WHERE tree_size > $1::bigint OR tree_size < 1
ORDER BY tree_size
LIMIT 1
