INSERT INTO phase_sequences AS sums (path, completed_count, failed_count, last_id)
SELECT batch.path, batch.completed_count, batch.failed_count, batch.last_id
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS batch (path, completed_count, failed_count, last_id)
ON CONFLICT (path) DO UPDATE
SET completed_count = sums.completed_count + excluded.completed_count,
    failed_count = sums.failed_count + excluded.failed_count,
    last_id = excluded.last_id
