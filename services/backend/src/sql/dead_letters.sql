SELECT
    projection, stream_sequence, event_id, subject, reason, error, attempts, octet_length(payload) AS payload_bytes,
    CASE WHEN $5::boolean THEN payload END AS payload, headers::text AS headers, recorded_at, created_at, redriven_at
FROM dead_letters
WHERE ($1::text IS NULL OR projection = $1)
    AND ($2::text IS NULL OR reason = $2)
    AND ($3::boolean IS NULL OR (redriven_at IS NOT NULL) = $3)
    AND ($4::bigint IS NULL OR stream_sequence = $4)
    AND (
        $6::bigint IS NULL
        OR stream_sequence < $6
        OR (stream_sequence = $6 AND projection COLLATE "C" > $7::text)
    )
ORDER BY stream_sequence DESC, projection COLLATE "C"
LIMIT $8
