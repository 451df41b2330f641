-- What applies to the queue as a whole.
SELECT
    queue_state.active,
    queue_state.early_reports,
    (SELECT config_value = 'true' FROM queue_config WHERE config_key = 'queue_paused') AS paused,
    (SELECT config_value::integer FROM queue_config WHERE config_key = 'max_concurrent') AS max_concurrent
FROM queue_state
