INSERT INTO error_daily AS sums (date, workflow_template, message, event_count, last_id, last_message)
SELECT batch.date, batch.workflow_template, batch.message, batch.event_count, batch.last_id, batch.last_message
FROM unnest($1::date[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])
    AS batch (date, workflow_template, message, event_count, last_id, last_message)
ON CONFLICT (date, workflow_template, message) DO UPDATE
SET event_count = sums.event_count + excluded.event_count,
    last_id = excluded.last_id,
    last_message = excluded.last_message
