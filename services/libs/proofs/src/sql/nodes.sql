SELECT kept.level, kept.position, kept.hash
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS runs (level, first_position, end_position)
CROSS JOIN LATERAL (
    SELECT node.level, node.position, node.hash
    FROM audit_tree AS node
    WHERE node.level = runs.level AND node.position >= runs.first_position AND node.position < runs.end_position
) AS kept
