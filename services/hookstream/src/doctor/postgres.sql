SELECT
    current_setting('server_version_num')::int AS version,
    current_setting('server_version') AS version_text,
    current_setting('fsync') AS fsync,
    current_setting('synchronous_commit') AS synchronous_commit,
    clock_timestamp() AS now
