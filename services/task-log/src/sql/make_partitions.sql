SELECT task_logs_make_partitions($1)
