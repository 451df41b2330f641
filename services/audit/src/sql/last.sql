SELECT audit_sequence, entry_hash
FROM audit_trail
ORDER BY audit_sequence DESC
LIMIT 1
