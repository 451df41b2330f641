SELECT event_memory_make_partitions($1, $2)
