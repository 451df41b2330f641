-- All phases of the plans that a batch touches: $1 issues, $2 queue ids, $3 runs.
WITH touched AS (
    SELECT parent_issue, queue_position FROM phase_queue WHERE queue_id = ANY ($2)
    UNION ALL
    SELECT parent_issue, queue_position FROM phase_queue WHERE adw_id = ANY ($3) AND status = 'running'
),
plans AS (
    SELECT issues.parent_issue, positions.first, positions.last
    FROM (
        SELECT unnest($1::bigint[]) AS parent_issue
        UNION
        SELECT parent_issue FROM touched WHERE parent_issue > 0
    ) AS issues
    CROSS JOIN (SELECT 0::bigint AS first, 9223372036854775807 AS last) AS positions
    UNION
    -- Without an issue, the phases that one event enqueued are a plan of their own.
    SELECT parent_issue, queue_position, queue_position FROM touched WHERE parent_issue = 0
)
SELECT
    phases.queue_id, phases.parent_issue, phases.phase_number, phases.issue_number, phases.status, phases.held,
    phases.announcements, phases.depends_on_phases, phases.priority, phases.queue_position, phases.adw_id, phases.error_message,
    phases.content_sha256, phases.created_at, phases.updated_at, phases.ready_at, phases.announced_at,
    phases.started_at, phases.finished_at
FROM plans
JOIN phase_queue AS phases
    ON phases.parent_issue = plans.parent_issue AND phases.queue_position BETWEEN plans.first AND plans.last
