INSERT INTO early_reports (queue_id, ordinal, adw_id, failed, trigger_next, reported_at)
SELECT kept.queue_id, kept.ordinal, kept.adw_id, kept.failed, kept.trigger_next, kept.reported_at
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[])
    AS kept (queue_id, ordinal, adw_id, failed, trigger_next, reported_at)
