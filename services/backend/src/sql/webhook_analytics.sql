-- The collation is stated so that pages follow each other wherever the database was made.
SELECT
    date::text AS date, webhook_type, phase_status, event_count, avg_duration_seconds, min_duration_seconds,
    max_duration_seconds, success_count, failure_count, success_rate_percent::double precision AS success_rate_percent
FROM webhook_analytics
WHERE ($1::text IS NULL OR date >= $1::date)
    AND ($2::text IS NULL OR date < $2::date)
    AND ($3::text IS NULL OR webhook_type = $3)
    AND ($4::text IS NULL OR phase_status = $4)
    AND (
        $5::text IS NULL
        OR date < $5::date
        OR (date = $5::date AND (webhook_type COLLATE "C", phase_status COLLATE "C") > ($6::text, $7::text))
    )
ORDER BY webhook_analytics.date DESC, webhook_type COLLATE "C", phase_status COLLATE "C"
LIMIT $8
