-- Sums over task_logs, kept in the transaction that writes its rows, so that no dashboard ever scans them. Times are UTC's,
-- and those of captured_at.

CREATE TABLE webhook_hourly (
    hour timestamptz NOT NULL,
    source text NOT NULL,
    event_type text NOT NULL,
    repository text NOT NULL,
    phase_status text NOT NULL,
    event_count bigint NOT NULL,
    payload_bytes numeric NOT NULL,
    PRIMARY KEY (hour, source, event_type, repository, phase_status)
);

COMMENT ON TABLE webhook_hourly IS 'Events per hour, source, type, repository and outcome';
COMMENT ON COLUMN webhook_hourly.repository IS 'owner/name; empty where the event has none';
COMMENT ON COLUMN webhook_hourly.phase_status IS 'The outcome, as in task_logs';

-- An observation, not a sum over task_logs: nobody can observe again how long it took. So a rebuild leaves it alone.
CREATE TABLE webhook_latency_hourly (
    hour timestamptz NOT NULL,
    source text NOT NULL,
    event_type text NOT NULL,
    repository text NOT NULL,
    phase_status text NOT NULL,
    buckets bigint[] NOT NULL,
    PRIMARY KEY (hour, source, event_type, repository, phase_status)
);

COMMENT ON TABLE webhook_latency_hourly IS 'How long events took from the gateway to this table, per hour of their arrival';
COMMENT ON COLUMN webhook_latency_hourly.buckets IS 'A histogram, for histogram_sum and histogram_percentile';

CREATE TABLE webhook_daily (
    date date NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    phase_status text COLLATE "C" NOT NULL,
    event_count bigint NOT NULL,
    duration_count bigint NOT NULL,
    duration_us numeric NOT NULL,
    duration_us_min bigint,
    duration_us_max bigint,
    PRIMARY KEY (date, event_type, phase_status),
    CONSTRAINT durations_have_bounds CHECK ((duration_count > 0) = (duration_us_min IS NOT NULL AND duration_us_max IS NOT NULL))
);

COMMENT ON TABLE webhook_daily IS 'Events per day, type and outcome, with their durations in microseconds';

CREATE VIEW webhook_analytics AS
SELECT
    date,
    event_type AS webhook_type,
    phase_status,
    event_count,
    (duration_us / nullif(duration_count, 0) / 1e6)::double precision AS avg_duration_seconds,
    duration_us_min / 1e6::double precision AS min_duration_seconds,
    duration_us_max / 1e6::double precision AS max_duration_seconds,
    CASE phase_status WHEN 'completed' THEN event_count ELSE 0 END AS success_count,
    CASE phase_status WHEN 'failed' THEN event_count ELSE 0 END AS failure_count,
    round(CASE phase_status WHEN 'completed' THEN 100.0 WHEN 'failed' THEN 0.0 END, 2) AS success_rate_percent
FROM webhook_daily;

COMMENT ON VIEW webhook_analytics IS 'Events per UTC day, type and status';
COMMENT ON COLUMN webhook_analytics.date IS 'UTC day in which the gateway received the events';
COMMENT ON COLUMN webhook_analytics.webhook_type IS 'The event type, such as com.github.issues.opened';
COMMENT ON COLUMN webhook_analytics.avg_duration_seconds IS 'Over the events that have a duration; null if none has';
COMMENT ON COLUMN webhook_analytics.success_count IS 'Events with phase_status completed';
COMMENT ON COLUMN webhook_analytics.failure_count IS 'Events with phase_status failed';
COMMENT ON COLUMN webhook_analytics.success_rate_percent IS
    'Successes among successes and failures, to two decimals; null where nothing ended (started, skipped, unknown)';

CREATE TABLE workflow_daily (
    date date NOT NULL,
    workflow_template text COLLATE "C" NOT NULL,
    phase_name text COLLATE "C" NOT NULL,
    phase_status text COLLATE "C" NOT NULL,
    event_count bigint NOT NULL,
    duration_count bigint NOT NULL,
    duration_us numeric NOT NULL,
    duration_buckets bigint[] NOT NULL,
    tokens_used numeric NOT NULL,
    cost_usd numeric(30, 6) NOT NULL,
    PRIMARY KEY (date, workflow_template, phase_name, phase_status)
);

COMMENT ON TABLE workflow_daily IS 'Completed workflows and logged tasks per day, template, phase and outcome';
COMMENT ON COLUMN workflow_daily.workflow_template IS 'Empty where the event names none';
COMMENT ON COLUMN workflow_daily.duration_buckets IS 'A histogram, for histogram_sum and histogram_percentile';

CREATE TABLE issue_progress (
    issue_number bigint PRIMARY KEY,
    event_count bigint NOT NULL,
    started_count bigint NOT NULL,
    completed_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    skipped_count bigint NOT NULL,
    duration_us numeric NOT NULL,
    tokens_used numeric NOT NULL,
    cost_usd numeric(30, 6) NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    last_id bigint NOT NULL,
    last_phase_name text,
    last_phase_status text
);

CREATE INDEX issue_progress_last ON issue_progress (last_id);

COMMENT ON TABLE issue_progress IS 'How far the work on each issue has come';
COMMENT ON COLUMN issue_progress.event_count IS 'All events of the issue; the other counts are of workflows and tasks alone';
COMMENT ON COLUMN issue_progress.last_id IS 'The last of its rows in task_logs';
COMMENT ON COLUMN issue_progress.last_phase_name IS 'Of its last workflow or task; null before the first';

CREATE TABLE error_daily (
    date date NOT NULL,
    workflow_template text COLLATE "C" NOT NULL,
    message text COLLATE "C" NOT NULL,
    event_count bigint NOT NULL,
    last_id bigint NOT NULL,
    last_message text NOT NULL,
    PRIMARY KEY (date, workflow_template, message)
);

COMMENT ON TABLE error_daily IS 'Error messages per day and template, with what differs from one time to the next left out';
COMMENT ON COLUMN error_daily.message IS 'The first line, with numbers, ids, addresses and quoted words replaced';
COMMENT ON COLUMN error_daily.last_id IS 'The last such row in task_logs';
COMMENT ON COLUMN error_daily.last_message IS 'The start of its message, as it was';

CREATE TABLE phase_path (
    run text COLLATE "C" PRIMARY KEY,
    path text NOT NULL
);

COMMENT ON TABLE phase_path IS 'Which phases of each run have ended so far, for phase_sequences';
COMMENT ON COLUMN phase_path.run IS 'issue:<number>, or adw:<adw_id> where there is no issue';
COMMENT ON COLUMN phase_path.path IS 'The last eight, oldest first, with > between them; ! marks a failure';

CREATE TABLE phase_sequences (
    path text COLLATE "C" PRIMARY KEY,
    completed_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    last_id bigint NOT NULL
);

CREATE INDEX phase_sequences_failed ON phase_sequences (failed_count) WHERE failed_count > 0;

COMMENT ON TABLE phase_sequences IS 'Sequences of phases, and how often the last of each completed and failed';
COMMENT ON COLUMN phase_sequences.path IS 'As in phase_path, up to and with the phase whose outcomes are counted';
COMMENT ON COLUMN phase_sequences.last_id IS 'The last row in task_logs that was counted';
