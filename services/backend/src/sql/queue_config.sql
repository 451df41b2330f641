SELECT config_key, config_value, updated_at
FROM queue_config
ORDER BY config_key
