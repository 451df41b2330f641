SELECT node.hash
FROM unnest($1::smallint[], $2::bigint[]) WITH ORDINALITY AS computed (level, position, rank)
LEFT JOIN audit_tree AS node ON node.level = computed.level AND node.position = computed.position
ORDER BY computed.rank
