-- A page ends early where the phases' data exceed $5 bytes, so that an answer has a bound; page_rows then tells that
-- there is more.
SELECT
    sized.queue_id, sized.parent_issue, sized.phase_number, sized.issue_number, sized.status, sized.held,
    sized.announced_at,
    sized.depends_on_phases, sized.phase_data, sized.priority, sized.queue_position, sized.adw_id,
    sized.error_message, sized.created_at, sized.updated_at, sized.ready_at, sized.started_at, sized.finished_at,
    sized.page_rows
FROM (
    SELECT
        page.*,
        count(*) OVER () AS page_rows,
        sum(octet_length(page.phase_data)) OVER (ORDER BY page.queue_position, page.phase_number)
            - octet_length(page.phase_data) AS bytes_before
    FROM (
        SELECT
            queue_id, parent_issue, phase_number, issue_number, status, held, announced_at, depends_on_phases,
            phase_data::text AS phase_data, priority, queue_position, adw_id, error_message, created_at, updated_at,
            ready_at, started_at, finished_at
        FROM phase_queue
        WHERE ($1::bigint IS NULL OR parent_issue = $1)
            AND ($2::text IS NULL OR status = $2)
            AND ($3::bigint IS NULL OR (queue_position, phase_number) > ($3, $4::integer))
        ORDER BY queue_position, phase_number
        LIMIT $6
    ) AS page
) AS sized
WHERE sized.bytes_before < $5
ORDER BY sized.queue_position, sized.phase_number
