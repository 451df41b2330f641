SELECT leaf.audit_sequence - 1 AS position, leaf.entry_hash AS hash
FROM unnest($1::bigint[], $2::bigint[]) AS runs (first_position, end_position)
CROSS JOIN LATERAL (
    SELECT entry.audit_sequence, entry.entry_hash
    FROM audit_trail AS entry
    WHERE entry.audit_sequence > runs.first_position AND entry.audit_sequence <= runs.end_position
) AS leaf
