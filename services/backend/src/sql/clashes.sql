-- New phases, $1, of issue $2, and what of the queue each meets: the phase that has its queue id, and the unfinished one
-- that has its number.
SELECT
    new.queue_id,
    new.phase_number,
    known.queue_id IS NOT NULL AS is_known,
    coalesce(
        known.parent_issue = $2
        AND known.phase_number = new.phase_number
        AND known.priority = new.priority
        AND known.issue_number IS NOT DISTINCT FROM new.issue_number
        AND to_jsonb(known.depends_on_phases) = new.depends_on_phases
        AND known.phase_data = new.phase_data,
        false
    ) AS is_same,
    taken.queue_id AS taken_by,
    taken.status AS taken_status
FROM jsonb_to_recordset($1) AS new (
    queue_id text,
    phase_number integer,
    priority integer,
    issue_number bigint,
    depends_on_phases jsonb,
    phase_data jsonb
)
LEFT JOIN phase_queue AS known ON known.queue_id = new.queue_id
LEFT JOIN phase_queue AS taken
    ON $2 > 0
    AND taken.parent_issue = $2
    AND taken.phase_number = new.phase_number
    AND taken.status NOT IN ('completed', 'failed')
ORDER BY new.phase_number
