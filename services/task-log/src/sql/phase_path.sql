INSERT INTO phase_path (run, path)
SELECT batch.run, batch.path
FROM unnest($1::text[], $2::text[]) AS batch (run, path)
ON CONFLICT (run) DO UPDATE SET path = excluded.path
