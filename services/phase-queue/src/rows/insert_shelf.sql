-- Dependencies come as array literals ({1,2}), because unnest would flatten an array of arrays.
INSERT INTO shelved_phases (
    queue_id, parent_issue, phase_number, issue_number, depends_on_phases, phase_data, priority
)
SELECT
    shelved.queue_id, shelved.parent_issue, shelved.phase_number, shelved.issue_number,
    shelved.depends_on_phases::integer[], shelved.phase_data, shelved.priority
FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::bigint[], $5::text[], $6::jsonb[], $7::integer[])
    AS shelved (queue_id, parent_issue, phase_number, issue_number, depends_on_phases, phase_data, priority)
