INSERT INTO queue_config (config_key, config_value, updated_at)
SELECT changes.config_key, changes.config_value, changes.updated_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS changes (config_key, config_value, updated_at)
ON CONFLICT (config_key) DO UPDATE
SET config_value = excluded.config_value, updated_at = excluded.updated_at
