-- What happened, a row per event, for people and for analytics. The event's body stays in the stream.

CREATE TABLE task_logs (
    id bigint NOT NULL CHECK (id >= 1),
    stream_sequence bigint NOT NULL CHECK (stream_sequence >= 1),
    issue_number bigint,
    tokens_used bigint CHECK (tokens_used >= 0),
    duration_seconds double precision CHECK (duration_seconds >= 0),
    payload_bytes bigint NOT NULL CHECK (payload_bytes >= 0),
    started_at timestamptz,
    completed_at timestamptz,
    captured_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    phase_number integer,
    event_id text NOT NULL,
    event_type text NOT NULL,
    source text NOT NULL,
    phase_name text NOT NULL,
    phase_status text NOT NULL
        CHECK (phase_status IN ('started', 'completed', 'failed', 'skipped', 'unknown')),
    repository text,
    adw_id text,
    workflow_template text,
    log_message text,
    error_message text,
    cost_usd numeric(16, 6) CHECK (cost_usd >= 0),
    -- The id alone is unique, since the stream hands each sequence out once; a partition's key must hold the time.
    PRIMARY KEY (id, captured_at)
) PARTITION BY RANGE (captured_at);

-- Fixed width first, so that a row has little padding. Lists are read newest first, by id.
CREATE INDEX task_logs_issue ON task_logs (issue_number, id) WHERE issue_number IS NOT NULL;
CREATE INDEX task_logs_adw ON task_logs (adw_id, id) WHERE adw_id IS NOT NULL;
-- Nearly every row is a received webhook; only the others are worth finding by phase or by status.
CREATE INDEX task_logs_phase ON task_logs (phase_name, id) WHERE phase_name <> 'webhook_received';
CREATE INDEX task_logs_status ON task_logs (phase_status, id) WHERE phase_status <> 'completed';
-- Rows lie in the order of time, so the few pages of a range are found by its bounds.
CREATE INDEX task_logs_captured ON task_logs USING brin (captured_at) WITH (autosummarize = on);

COMMENT ON TABLE task_logs IS
    'A row per event: webhooks received, phases on their way, workflows completed, tasks logged. A partition per month';
COMMENT ON COLUMN task_logs.id IS 'The stream sequence, so a rebuild gives the same ids';
COMMENT ON COLUMN task_logs.stream_sequence IS 'Position of the event in stream WEBHOOKS';
COMMENT ON COLUMN task_logs.issue_number IS 'The issue the event names, else the parent issue of its plan';
COMMENT ON COLUMN task_logs.payload_bytes IS 'Size of the body, which stays in the stream';
COMMENT ON COLUMN task_logs.phase_name IS
    'webhook_received; phase_<n>_complete or workflow_complete; phase_<what happened to it>; the name in a task.logged event';
COMMENT ON COLUMN task_logs.phase_status IS 'completed for a received webhook; unknown where the event has no known status';
COMMENT ON COLUMN task_logs.started_at IS 'When the task began, as the event says';
COMMENT ON COLUMN task_logs.completed_at IS 'When the task ended, as the event says';
COMMENT ON COLUMN task_logs.captured_at IS 'When the gateway received the event';
COMMENT ON COLUMN task_logs.created_at IS 'When the stream recorded the event';

CREATE FUNCTION task_logs_make_partitions(months date[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month date;
BEGIN
    FOREACH month IN ARRAY months LOOP
        PERFORM make_partition('task_logs', 'task_logs_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month');
    END LOOP;
END
$$;

COMMENT ON FUNCTION task_logs_make_partitions(date[]) IS 'Makes the partitions of UTC months, given as their first days';
