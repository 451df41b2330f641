-- What applies to the queue as a whole. Also tells the planner, for this transaction, that everything here is a handful of
-- look-ups: it knows neither how few rows a batch touches nor how large the tables will grow.
SELECT
    queue_state.active,
    queue_state.early_reports,
    (SELECT config_value = 'true' FROM queue_config WHERE config_key = 'queue_paused') AS paused,
    (SELECT config_value::integer FROM queue_config WHERE config_key = 'max_concurrent') AS max_concurrent,
    set_config('enable_seqscan', 'off', true) AS seqscan,
    set_config('enable_hashjoin', 'off', true) AS hashjoin,
    set_config('enable_mergejoin', 'off', true) AS mergejoin
FROM queue_state
