SELECT
    'webhook_events' AS table_name,
    format('%s from %s, body %s…', webhook_type, source, left(encode(body_sha256, 'hex'), 12)) AS row_text,
    1 AS rank,
    stream_sequence AS position
FROM webhook_events
WHERE stream_sequence = $1
UNION ALL
SELECT
    'task_logs',
    format('%s %s', phase_name, phase_status) || coalesce(', issue ' || issue_number, '')
    || coalesce(', run ' || adw_id, '') || coalesce(': ' || log_message, ''),
    2,
    id
FROM task_logs
WHERE stream_sequence = $1
UNION ALL
SELECT
    'audit_trail',
    format('entry %s, %s, signed with key %s, hash %s…', audit_sequence, kind, key_id, left(encode(entry_hash, 'hex'), 12)),
    3,
    audit_sequence
FROM audit_trail
WHERE stream = 'WEBHOOKS' AND stream_sequence = $1
UNION ALL
SELECT
    'phase_queue',
    format('%s: issue %s, phase %s, %s', queue_id, parent_issue, phase_number, status),
    4,
    phase_number
FROM phase_queue
WHERE queue_position = $1 OR queue_id = $2
UNION ALL
SELECT
    'dead_letters',
    format('%s: %s: %s', projection, reason, error),
    5,
    stream_sequence
FROM dead_letters
WHERE stream_sequence = $1
ORDER BY rank, position
