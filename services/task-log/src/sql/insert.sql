INSERT INTO task_logs (
    id, stream_sequence, issue_number, tokens_used, duration_seconds, started_at, completed_at, captured_at,
    created_at, phase_number, event_id, event_type, source, phase_name, phase_status, repository, adw_id,
    workflow_template, log_message, error_message, cost_usd, payload_bytes
)
SELECT
    rows.stream_sequence, rows.stream_sequence, rows.issue_number, rows.tokens_used, rows.duration_seconds,
    rows.started_at, rows.completed_at, rows.captured_at, rows.created_at, rows.phase_number, rows.event_id,
    rows.event_type, rows.source, rows.phase_name, rows.phase_status, rows.repository, rows.adw_id,
    rows.workflow_template, rows.log_message, rows.error_message, rows.cost_micros::numeric / 1000000,
    rows.payload_bytes
FROM unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::double precision[], $5::timestamptz[], $6::timestamptz[],
    $7::timestamptz[], $8::timestamptz[], $9::integer[], $10::text[], $11::text[], $12::text[], $13::text[],
    $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::bigint[], $21::bigint[]
) AS rows (
    stream_sequence, issue_number, tokens_used, duration_seconds, started_at, completed_at, captured_at, created_at,
    phase_number, event_id, event_type, source, phase_name, phase_status, repository, adw_id, workflow_template,
    log_message, error_message, cost_micros, payload_bytes
)
