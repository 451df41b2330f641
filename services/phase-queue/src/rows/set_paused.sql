INSERT INTO queue_config (config_key, config_value, updated_at)
VALUES ('queue_paused', $1, $2)
ON CONFLICT (config_key) DO UPDATE
SET config_value = excluded.config_value, updated_at = excluded.updated_at
