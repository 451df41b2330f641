-- What was taken out of the queue with these issues.
SELECT queue_id, parent_issue, phase_number, issue_number, depends_on_phases, phase_data, priority
FROM shelved_phases
WHERE parent_issue = ANY ($1)
