INSERT INTO phase_dependencies (parent_issue, plan_position, depends_on, queue_id, phase_number)
SELECT edges.parent_issue, edges.plan_position, edges.depends_on, edges.queue_id, edges.phase_number
FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::text[], $5::integer[])
    AS edges (parent_issue, plan_position, depends_on, queue_id, phase_number)
