-- The phases that a batch touches, and what it has to look at for that: $1 queue ids, $3 runs, $5 issues and $6 numbers of
-- phases, each with its reach (-1 alone, 0 and those that wait for it, 1 and so on with all that these depend on, 2 and
-- all that ever had its number); $8 issues whose phases may come back. Follows edges, and never looks through a plan.
WITH RECURSIVE named AS (
    SELECT
        phase_queue.queue_id, phase_queue.parent_issue, phase_queue.phase_number, wanted.reach,
        CASE WHEN phase_queue.parent_issue = 0 THEN phase_queue.queue_position ELSE 0 END AS plan_position
    FROM (
        SELECT ids.queue_id, ids.reach FROM unnest($1::text[], $2::integer[]) AS ids (queue_id, reach)
        UNION ALL
        SELECT running.queue_id, runs.reach
        FROM unnest($3::text[], $4::integer[]) AS runs (adw_id, reach)
        JOIN phase_queue AS running ON running.adw_id = runs.adw_id AND running.status = 'running'
        UNION ALL
        SELECT shelved_phases.queue_id, -1 FROM shelved_phases WHERE shelved_phases.parent_issue = ANY ($8)
    ) AS wanted
    JOIN phase_queue ON phase_queue.queue_id = wanted.queue_id
),
places AS (
    SELECT parent_issue, plan_position, phase_number, reach FROM named
    UNION
    SELECT given.parent_issue, 0, given.phase_number, given.reach
    FROM unnest($5::bigint[], $6::integer[], $7::integer[]) AS given (parent_issue, phase_number, reach)
),
reached AS (
    SELECT parent_issue, plan_position, phase_number, reach FROM places
    UNION
    SELECT
        edges.parent_issue, edges.plan_position, edges.phase_number,
        -- What ends as soon as it is ready moves others, too.
        CASE WHEN reached.reach > 0 OR waiting.early_report IS NOT NULL THEN 1 ELSE -1 END
    FROM reached
    JOIN phase_dependencies AS edges ON edges.parent_issue = reached.parent_issue
        AND edges.plan_position = reached.plan_position AND edges.depends_on = reached.phase_number
    JOIN phase_queue AS waiting ON waiting.queue_id = edges.queue_id
    WHERE reached.reach >= 0
),
looked_at AS (
    SELECT parent_issue, plan_position, phase_number FROM reached
    UNION
    SELECT reached.parent_issue, reached.plan_position, unnest(newest.depends_on_phases)
    FROM reached
    CROSS JOIN LATERAL (
        SELECT phases.depends_on_phases FROM phase_queue AS phases
        WHERE reached.parent_issue > 0 AND phases.parent_issue = reached.parent_issue
            AND phases.phase_number = reached.phase_number
        ORDER BY phases.queue_position DESC
        LIMIT 1
    ) AS newest
    WHERE reached.reach > 0
    UNION
    SELECT reached.parent_issue, reached.plan_position, unnest(phases.depends_on_phases)
    FROM reached
    JOIN phase_queue AS phases ON phases.parent_issue = 0 AND phases.queue_position = reached.plan_position
        AND phases.phase_number = reached.phase_number
    WHERE reached.reach > 0 AND reached.parent_issue = 0
),
found AS (
    SELECT queue_id FROM named
    UNION
    SELECT newest.queue_id
    FROM looked_at
    CROSS JOIN LATERAL (
        SELECT phases.queue_id FROM phase_queue AS phases
        WHERE looked_at.parent_issue > 0 AND phases.parent_issue = looked_at.parent_issue
            AND phases.phase_number = looked_at.phase_number
        ORDER BY phases.queue_position DESC
        LIMIT 1
    ) AS newest
    UNION
    SELECT phases.queue_id
    FROM looked_at
    JOIN phase_queue AS phases ON phases.parent_issue = 0 AND phases.queue_position = looked_at.plan_position
        AND phases.phase_number = looked_at.phase_number
    WHERE looked_at.parent_issue = 0
    UNION
    SELECT phases.queue_id
    FROM reached
    JOIN phase_queue AS phases
        ON phases.parent_issue = reached.parent_issue AND phases.phase_number = reached.phase_number
    WHERE reached.reach = 2 AND reached.parent_issue > 0
)
SELECT
    phase_queue.queue_id, phase_queue.parent_issue, phase_queue.phase_number, phase_queue.issue_number, phase_queue.status, phase_queue.held, phase_queue.announcements, phase_queue.depends_on_phases, phase_queue.waiting_on,
    phase_queue.blocked_on, phase_queue.early_report, phase_queue.priority, phase_queue.queue_position, phase_queue.adw_id, phase_queue.error_message, phase_queue.content_sha256, phase_queue.created_at, phase_queue.updated_at,
    phase_queue.ready_at, phase_queue.announced_at, phase_queue.started_at, phase_queue.finished_at
FROM found
JOIN phase_queue ON phase_queue.queue_id = found.queue_id
