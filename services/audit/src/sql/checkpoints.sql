-- Checkpoints of the sizes that a page of entries passes.
SELECT tree_size, note
FROM audit_checkpoints
WHERE tree_size > $1
ORDER BY tree_size
LIMIT $2
