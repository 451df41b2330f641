SELECT drop_first_partition('task_logs', 'task_logs_' || to_char($1::timestamptz AT TIME ZONE 'UTC', 'YYYY_MM')) AS rows
