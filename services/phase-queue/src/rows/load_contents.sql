-- What the phases of these issues are to run that have not ended.
SELECT queue_id, phase_data
FROM phase_queue
WHERE parent_issue = ANY ($1) AND parent_issue > 0 AND status NOT IN ('completed', 'failed')
