WITH found AS (
    SELECT
        workflow_template, message, sum(event_count)::bigint AS event_count, min(date) AS first_date,
        max(date) AS last_date, max(last_id) AS last_id,
        (array_agg(last_message ORDER BY last_id DESC))[1] AS last_message
    FROM error_daily
    WHERE ($1::text IS NULL OR date >= $1::date)
        AND ($2::text IS NULL OR date < $2::date)
        AND ($3::text IS NULL OR workflow_template = $3)
    GROUP BY workflow_template, message
)
SELECT
    workflow_template, message, event_count, first_date::text AS first_date, last_date::text AS last_date, last_id,
    last_message
FROM found
WHERE $4::bigint IS NULL
    OR event_count < $4
    OR (event_count = $4 AND (workflow_template, message) > ($5::text, $6::text))
ORDER BY event_count DESC, workflow_template, message
LIMIT $7
