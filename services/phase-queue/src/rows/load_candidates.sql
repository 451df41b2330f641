-- The first $1 phases that wait to be announced.
SELECT
    queue_id, parent_issue, phase_number, issue_number, status, held, announcements, depends_on_phases, waiting_on,
    blocked_on, early_report, priority, queue_position, adw_id, error_message, content_sha256, created_at, updated_at,
    ready_at, announced_at, started_at, finished_at
FROM phase_queue
WHERE status = 'ready' AND NOT held AND announced_at IS NULL
ORDER BY priority, queue_position, phase_number
LIMIT $1
