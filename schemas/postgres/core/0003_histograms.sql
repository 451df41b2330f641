-- Histograms that can be added up: a bigint[] of 61 counts, one per bucket, all with the same bounds. A percentile of the
-- sum is as good as one of the parts.

-- Lower bounds of all buckets but the first, in microseconds: 1 ms to 9 days, two to each doubling. So a value is known
-- to within a half of itself. hookstream_task_log::histogram has the same.
CREATE FUNCTION histogram_bounds() RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg((CASE n % 2 WHEN 0 THEN 1000 ELSE 1500 END)::bigint << (n / 2) ORDER BY n)
    FROM generate_series(0, 59) AS n
$$;

CREATE FUNCTION histogram_add(one bigint[], other bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT array_agg(coalesce(pair.one, 0) + coalesce(pair.other, 0) ORDER BY pair.n)
    FROM unnest(one, other) WITH ORDINALITY AS pair (one, other, n)
);

CREATE AGGREGATE histogram_sum(bigint[]) (SFUNC = histogram_add, STYPE = bigint[], PARALLEL = SAFE, COMBINEFUNC = histogram_add);

COMMENT ON FUNCTION histogram_bounds() IS 'Where the buckets of a histogram meet, in microseconds';
COMMENT ON FUNCTION histogram_add(bigint[], bigint[]) IS 'Two histograms as one';
COMMENT ON AGGREGATE histogram_sum(bigint[]) IS 'Many histograms as one';

-- Evenly spread within its bucket, which is what Prometheus assumes too; the last bucket has no end, so its lower bound.
CREATE FUNCTION histogram_percentile(buckets bigint[], share double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    WITH counted AS (
        SELECT bucket.n, bucket.count, sum(bucket.count) OVER (ORDER BY bucket.n) AS up_to, sum(bucket.count) OVER () AS total
        FROM unnest(buckets) WITH ORDINALITY AS bucket (count, n)
    ),
    found AS (
        SELECT
            counted.n,
            (share * counted.total - (counted.up_to - counted.count)) / counted.count AS part,
            coalesce((histogram_bounds())[counted.n - 1], 0) AS low,
            coalesce((histogram_bounds())[counted.n], (histogram_bounds())[counted.n - 1]) AS high
        FROM counted
        WHERE counted.count > 0 AND counted.up_to >= share * counted.total
        ORDER BY counted.n
        LIMIT 1
    )
    SELECT (low + greatest(part, 0) * (high - low)) / 1e6 FROM found
);

COMMENT ON FUNCTION histogram_percentile(bigint[], double precision) IS
    'The value, in seconds, that this share (0 to 1) of a histogram does not exceed; null of an empty one';
