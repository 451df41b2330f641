WITH found AS (
    SELECT hour, source, histogram_sum(buckets) AS buckets
    FROM webhook_latency_hourly
    WHERE ($1::timestamptz IS NULL OR hour >= $1)
        AND ($2::timestamptz IS NULL OR hour < $2)
        AND ($3::text IS NULL OR source = $3)
        AND ($4::text IS NULL OR event_type = $4)
        AND ($5::text IS NULL OR repository = $5)
        AND ($6::timestamptz IS NULL OR hour < $6 OR (hour = $6 AND source COLLATE "C" > $7::text))
    GROUP BY hour, source
    ORDER BY hour DESC, source COLLATE "C"
    LIMIT $8
)
SELECT
    hour, source, (SELECT sum(count) FROM unnest(buckets) AS count)::bigint AS event_count,
    histogram_percentile(buckets, 0.5) AS p50_seconds, histogram_percentile(buckets, 0.95) AS p95_seconds,
    histogram_percentile(buckets, 0.99) AS p99_seconds
FROM found
ORDER BY hour DESC, source COLLATE "C"
