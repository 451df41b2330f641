SELECT drop_first_partition(
    'event_memory_' || $1::text,
    'event_memory_' || $1::text || to_char($2::timestamptz AT TIME ZONE 'UTC', '_YYYYMMDD')
) AS rows
