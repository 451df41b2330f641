-- The phase that each number of a plan stands for now. Issue 0 is none: there, one event's phases are a plan.
SELECT DISTINCT ON (plan, phase_number)
    CASE WHEN parent_issue = 0 THEN queue_position ELSE 0 END AS plan, phase_number, queue_id, status
FROM phase_queue
WHERE parent_issue = $1 AND (parent_issue > 0 OR queue_position = ANY ($2))
ORDER BY plan, phase_number, queue_position DESC
