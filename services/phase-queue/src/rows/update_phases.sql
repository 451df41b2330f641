-- Writes what can change of phases that have rows; what they were enqueued with stays.
UPDATE phase_queue
SET status = phases.status,
    held = phases.held,
    announcements = phases.announcements,
    waiting_on = phases.waiting_on,
    blocked_on = phases.blocked_on,
    early_report = phases.early_report,
    adw_id = phases.adw_id,
    error_message = phases.error_message,
    updated_at = phases.updated_at,
    ready_at = phases.ready_at,
    announced_at = phases.announced_at,
    started_at = phases.started_at,
    finished_at = phases.finished_at
FROM unnest(
    $1::text[], $2::text[], $3::boolean[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
    $8::timestamptz[], $9::timestamptz[], $10::integer[], $11::timestamptz[],
    $12::integer[], $13::integer[], $14::jsonb[]
) AS phases (
    queue_id, status, held, adw_id, error_message, updated_at, ready_at, started_at, finished_at, announcements,
    announced_at, waiting_on, blocked_on, early_report
)
WHERE phase_queue.queue_id = phases.queue_id
