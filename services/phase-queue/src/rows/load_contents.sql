-- What the phases of these issues are to run that may go with them: all but those that have completed. One that has failed
-- may be retried in the same batch, before its issue is closed.
SELECT queue_id, phase_data
FROM phase_queue
WHERE parent_issue = ANY ($1) AND parent_issue > 0 AND status <> 'completed'
