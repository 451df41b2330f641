SELECT kind, count(*) AS entries, sum(count)::bigint AS counted
FROM audit_trail
WHERE ($1::text[] IS NULL OR kind = ANY ($1))
    AND ($2::text IS NULL OR event_id = $2)
    AND ($3::text IS NULL OR source = $3)
    AND ($4::timestamptz IS NULL OR recorded_at >= $4)
GROUP BY kind
ORDER BY kind
