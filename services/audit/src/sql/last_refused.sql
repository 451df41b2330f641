SELECT details
FROM audit_trail
WHERE kind = 'rejected'
ORDER BY audit_sequence DESC
LIMIT 1
