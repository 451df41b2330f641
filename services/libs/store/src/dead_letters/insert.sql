INSERT INTO dead_letters (
    projection, stream_sequence, event_id, subject, reason, error, attempts, payload, headers, recorded_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (projection, stream_sequence) DO UPDATE
SET event_id = excluded.event_id,
    subject = excluded.subject,
    reason = excluded.reason,
    error = excluded.error,
    attempts = excluded.attempts,
    payload = excluded.payload,
    headers = excluded.headers,
    recorded_at = excluded.recorded_at,
    redriven_at = NULL
