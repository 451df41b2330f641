SELECT kind, count(*) AS entries, sum(count)::bigint AS counted, max(audit_sequence) AS last
FROM audit_trail
WHERE audit_sequence > $1 AND audit_sequence <= (SELECT audit_sequence FROM audit_head)
GROUP BY kind
