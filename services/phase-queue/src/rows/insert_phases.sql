-- Dependencies come as array literals ({1,2}), because unnest would flatten an array of arrays.
INSERT INTO phase_queue (
    queue_id, status, held, adw_id, error_message, updated_at, ready_at, started_at, finished_at, parent_issue,
    phase_number, issue_number, depends_on_phases, phase_data, priority, queue_position, content_sha256, created_at,
    announcements, announced_at, waiting_on, blocked_on, early_report
)
SELECT
    phases.queue_id, phases.status, phases.held, phases.adw_id, phases.error_message, phases.updated_at,
    phases.ready_at, phases.started_at, phases.finished_at, phases.parent_issue, phases.phase_number,
    phases.issue_number, phases.depends_on_phases::integer[], phases.phase_data, phases.priority,
    phases.queue_position, phases.content_sha256, phases.created_at, phases.announcements,
    phases.announced_at, phases.waiting_on, phases.blocked_on, phases.early_report
FROM unnest(
    $1::text[], $2::text[], $3::boolean[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
    $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::integer[], $12::bigint[], $13::text[], $14::jsonb[],
    $15::integer[], $16::bigint[], $17::bytea[], $18::timestamptz[], $19::integer[], $20::timestamptz[],
    $21::integer[], $22::integer[], $23::jsonb[]
) AS phases (
    queue_id, status, held, adw_id, error_message, updated_at, ready_at, started_at, finished_at, parent_issue,
    phase_number, issue_number, depends_on_phases, phase_data, priority, queue_position, content_sha256, created_at,
    announcements, announced_at, waiting_on, blocked_on, early_report
)
