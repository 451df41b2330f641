SELECT
    coalesce(bool_or(config_value = 'true') FILTER (WHERE config_key = 'queue_paused'), false) AS paused,
    coalesce(max(config_value::bigint) FILTER (WHERE config_key = 'max_concurrent'), 0) AS max_concurrent,
    (SELECT active::bigint FROM queue_state) AS occupied
FROM queue_config
WHERE config_key IN ('queue_paused', 'max_concurrent')
