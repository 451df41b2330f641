SELECT
    queue_id,
    status,
    announced_at IS NOT NULL AS announced,
    format(
        '%s: phase %s, %s, %s%s',
        queue_id,
        phase_number,
        phase_data ->> 'workflow_type',
        status,
        CASE
            WHEN started_at IS NOT NULL AND finished_at IS NOT NULL THEN format(
                '; ready after %s ms, begun after %s ms, ended after %s ms',
                round(extract(epoch FROM ready_at - created_at) * 1000),
                round(extract(epoch FROM started_at - created_at) * 1000),
                round(extract(epoch FROM finished_at - created_at) * 1000)
            )
            ELSE ''
        END
    ) AS row_text
FROM phase_queue
WHERE parent_issue = $1
ORDER BY phase_number
