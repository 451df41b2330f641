SELECT string_agg(name, ', ' ORDER BY name) AS missing
FROM unnest(ARRAY[
    'audit_trail', 'dead_letters', 'phase_queue', 'projection_checkpoints', 'queue_config', 'queue_state', 'task_logs',
    'webhook_analytics'
]) AS name
WHERE to_regclass(name) IS NULL
