SELECT
    id, adw_id, issue_number, workflow_template, phase_name, phase_number, phase_status, log_message, error_message,
    started_at, completed_at, duration_seconds, tokens_used, cost_usd::double precision AS cost_usd, captured_at,
    created_at, event_id, stream_sequence, event_type, source, repository
FROM task_logs
WHERE ($1::bigint IS NULL OR issue_number = $1)
    AND ($2::text IS NULL OR adw_id = $2)
    AND ($3::text IS NULL OR phase_name = $3)
    AND ($4::text IS NULL OR phase_status = $4)
    AND ($5::timestamptz IS NULL OR captured_at >= $5)
    AND ($6::timestamptz IS NULL OR captured_at < $6)
    AND ($7::bigint IS NULL OR id < $7)
ORDER BY id DESC
LIMIT $8
