SELECT audit_sequence, stream_sequence
FROM audit_trail
WHERE stream = $1
ORDER BY audit_sequence DESC
LIMIT 1
