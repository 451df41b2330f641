DELETE FROM phase_dependencies
USING unnest($1::bigint[], $2::bigint[], $3::integer[], $4::text[])
    AS gone (parent_issue, plan_position, depends_on, queue_id)
WHERE phase_dependencies.parent_issue = gone.parent_issue AND phase_dependencies.plan_position = gone.plan_position
    AND phase_dependencies.depends_on = gone.depends_on AND phase_dependencies.queue_id = gone.queue_id
