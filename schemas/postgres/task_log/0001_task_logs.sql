-- What happened, a row per event, for people and for analytics. The event's body stays in the stream.

CREATE TABLE task_logs (
    id bigint PRIMARY KEY CHECK (id >= 1),
    stream_sequence bigint NOT NULL CHECK (stream_sequence >= 1),
    issue_number bigint,
    tokens_used bigint CHECK (tokens_used >= 0),
    duration_seconds double precision CHECK (duration_seconds >= 0),
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
    cost_usd numeric(16, 6) CHECK (cost_usd >= 0)
);

-- Fixed width first, so that a row has little padding. Lists are read newest first, by id.
CREATE INDEX task_logs_issue ON task_logs (issue_number, id) WHERE issue_number IS NOT NULL;
CREATE INDEX task_logs_adw ON task_logs (adw_id, id) WHERE adw_id IS NOT NULL;
-- Nearly every row is a received webhook; only the others are worth finding by phase or by status.
CREATE INDEX task_logs_phase ON task_logs (phase_name, id) WHERE phase_name <> 'webhook_received';
CREATE INDEX task_logs_status ON task_logs (phase_status, id) WHERE phase_status <> 'completed';
-- Rows lie in the order of time, so the few pages of a range are found by its bounds.
CREATE INDEX task_logs_captured ON task_logs USING brin (captured_at) WITH (autosummarize = on);

COMMENT ON TABLE task_logs IS 'A row per event: webhooks received, workflows completed, tasks logged';
COMMENT ON COLUMN task_logs.id IS 'The stream sequence, so a rebuild gives the same ids';
COMMENT ON COLUMN task_logs.stream_sequence IS 'Position of the event in stream WEBHOOKS';
COMMENT ON COLUMN task_logs.issue_number IS 'The issue the event names, else the parent issue of its plan';
COMMENT ON COLUMN task_logs.phase_name IS
    'webhook_received; phase_<n>_complete or workflow_complete; the name in a task.logged event';
COMMENT ON COLUMN task_logs.phase_status IS 'completed for a received webhook; unknown where the event has no known status';
COMMENT ON COLUMN task_logs.started_at IS 'When the task began, as the event says';
COMMENT ON COLUMN task_logs.completed_at IS 'When the task ended, as the event says';
COMMENT ON COLUMN task_logs.captured_at IS 'When the gateway received the event';
COMMENT ON COLUMN task_logs.created_at IS 'When the stream recorded the event';

CREATE VIEW webhook_analytics AS
SELECT
    (captured_at AT TIME ZONE 'UTC')::date AS date,
    event_type AS webhook_type,
    phase_status,
    count(*) AS event_count,
    avg(duration_seconds) AS avg_duration_seconds,
    min(duration_seconds) AS min_duration_seconds,
    max(duration_seconds) AS max_duration_seconds,
    count(*) FILTER (WHERE phase_status = 'completed') AS success_count,
    count(*) FILTER (WHERE phase_status = 'failed') AS failure_count,
    round(
        100.0 * count(*) FILTER (WHERE phase_status = 'completed')
        / nullif(count(*) FILTER (WHERE phase_status IN ('completed', 'failed')), 0),
        2
    ) AS success_rate_percent
FROM task_logs
GROUP BY 1, 2, 3;

COMMENT ON VIEW webhook_analytics IS 'Events per UTC day, type and status';
COMMENT ON COLUMN webhook_analytics.date IS 'UTC day in which the gateway received the events';
COMMENT ON COLUMN webhook_analytics.webhook_type IS 'The event type, such as com.github.issues.opened';
COMMENT ON COLUMN webhook_analytics.avg_duration_seconds IS 'Over the events that have a duration; null if none has';
COMMENT ON COLUMN webhook_analytics.success_count IS 'Events with phase_status completed';
COMMENT ON COLUMN webhook_analytics.failure_count IS 'Events with phase_status failed';
COMMENT ON COLUMN webhook_analytics.success_rate_percent IS
    'Successes among successes and failures, to two decimals; null where nothing ended (started, skipped, unknown)';
