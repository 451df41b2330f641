-- The phases of all plans, and what applies to the queue as a whole. Written by the projection phase_queue alone.

CREATE TABLE phase_queue (
    queue_id text PRIMARY KEY CHECK (octet_length(queue_id) BETWEEN 1 AND 256),
    parent_issue bigint NOT NULL CHECK (parent_issue >= 0),
    phase_number integer NOT NULL CHECK (phase_number BETWEEN 1 AND 20),
    issue_number bigint CHECK (issue_number >= 0),
    status text NOT NULL CHECK (status IN ('queued', 'ready', 'running', 'completed', 'blocked', 'failed')),
    held boolean NOT NULL DEFAULT false,
    announcements integer NOT NULL DEFAULT 0 CHECK (announcements >= 0),
    depends_on_phases integer[] NOT NULL,
    waiting_on integer NOT NULL DEFAULT 0 CHECK (waiting_on >= 0),
    blocked_on integer NOT NULL DEFAULT 0 CHECK (blocked_on BETWEEN 0 AND waiting_on),
    early_report jsonb,
    phase_data jsonb NOT NULL CHECK (jsonb_typeof(phase_data) = 'object'),
    priority integer NOT NULL CHECK (priority BETWEEN 10 AND 90),
    queue_position bigint NOT NULL CHECK (queue_position >= 1),
    adw_id text NOT NULL CHECK (octet_length(adw_id) BETWEEN 1 AND 256),
    error_message text,
    content_sha256 bytea NOT NULL CHECK (octet_length(content_sha256) = 32),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ready_at timestamptz,
    announced_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT dependencies_come_before CHECK (phase_number > ALL (depends_on_phases) AND 0 < ALL (depends_on_phases)),
    CONSTRAINT only_ready_is_held CHECK (NOT held OR status = 'ready'),
    CONSTRAINT only_ready_is_announced CHECK (announced_at IS NULL OR (status = 'ready' AND NOT held AND announcements > 0)),
    CONSTRAINT only_waiting_counts CHECK (waiting_on = 0 OR status IN ('queued', 'blocked')),
    CONSTRAINT only_blocked_is_blocked_on CHECK (blocked_on = 0 OR status = 'blocked'),
    CONSTRAINT only_waiting_was_reported_early CHECK (early_report IS NULL OR status IN ('queued', 'blocked')),
    CONSTRAINT trouble_has_a_message CHECK ((error_message IS NOT NULL) = (status IN ('blocked', 'failed'))),
    CONSTRAINT waiting_was_never_ready CHECK ((ready_at IS NULL) = (status IN ('queued', 'blocked'))),
    CONSTRAINT running_has_started CHECK (
        CASE status
            WHEN 'running' THEN started_at IS NOT NULL
            WHEN 'completed' THEN true
            WHEN 'failed' THEN true
            ELSE started_at IS NULL
        END
    ),
    CONSTRAINT finished_has_an_end CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed')))
);

-- A number may come again in a plan, but only after its phase has finished. Without an issue there is no plan.
CREATE UNIQUE INDEX phase_queue_unfinished ON phase_queue (parent_issue, phase_number)
WHERE parent_issue > 0 AND status NOT IN ('completed', 'failed');
-- The newest phase of a number.
CREATE INDEX phase_queue_number ON phase_queue (parent_issue, phase_number, queue_position);
-- The phases of an issue; of issue 0, those that one event enqueued.
CREATE INDEX phase_queue_plan ON phase_queue (parent_issue, queue_position, phase_number);
-- What waits to be announced, the next one first.
CREATE INDEX phase_queue_next ON phase_queue (priority, queue_position, phase_number)
WHERE status = 'ready' AND NOT held AND announced_at IS NULL;
-- What was announced and has not begun, the first one first.
CREATE INDEX phase_queue_announced ON phase_queue (announced_at) WHERE announced_at IS NOT NULL;
-- The phase that a run runs.
CREATE INDEX phase_queue_run ON phase_queue (adw_id) WHERE status = 'running';
-- Listing, with and without a status.
CREATE INDEX phase_queue_position ON phase_queue (queue_position, phase_number);
CREATE INDEX phase_queue_status ON phase_queue (status, queue_position, phase_number);

COMMENT ON TABLE phase_queue IS 'Phases of workflows: what each does, and what it waits for';
COMMENT ON COLUMN phase_queue.parent_issue IS 'The issue whose plan it belongs to; 0 for none';
COMMENT ON COLUMN phase_queue.issue_number IS 'The issue of the phase itself';
COMMENT ON COLUMN phase_queue.held IS 'Ready, but not announced before its execution is requested';
COMMENT ON COLUMN phase_queue.waiting_on IS 'While it waits, how many of its dependencies have not completed';
COMMENT ON COLUMN phase_queue.blocked_on IS 'While it waits, how many of its dependencies have failed or are blocked';
COMMENT ON COLUMN phase_queue.early_report IS 'While it waits, the report that ends it once it is ready';
COMMENT ON COLUMN phase_queue.announcements IS 'How often it was announced as ready';
COMMENT ON COLUMN phase_queue.announced_at IS 'When it was last announced as ready; null once it has begun, and before';
COMMENT ON COLUMN phase_queue.depends_on_phases IS 'Numbers of phases of the same plan that must complete first';
COMMENT ON COLUMN phase_queue.priority IS '10 (first) to 90 (last)';
COMMENT ON COLUMN phase_queue.queue_position IS 'Stream sequence of the event that enqueued it';
COMMENT ON COLUMN phase_queue.adw_id IS 'The run: as enqueued, until a worker says otherwise';
COMMENT ON COLUMN phase_queue.error_message IS 'Why it failed, or which phase blocks it and why';
COMMENT ON COLUMN phase_queue.content_sha256 IS 'Digest of all it was enqueued with, to notice a queue id used twice';
COMMENT ON COLUMN phase_queue.created_at IS 'This and all other times: when the stream stored the event that did it';

CREATE TABLE queue_config (
    config_key text PRIMARY KEY,
    config_value text NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT paused_is_a_boolean CHECK (config_key <> 'queue_paused' OR config_value IN ('true', 'false')),
    CONSTRAINT concurrency_is_a_count CHECK (config_key <> 'max_concurrent' OR config_value ~ '^[1-9][0-9]{0,4}$')
);

INSERT INTO queue_config (config_key, config_value, updated_at)
VALUES ('queue_paused', 'false', 'epoch'), ('max_concurrent', '3', 'epoch');

-- For each phase that waits, what it waits for: an edge per dependency. Gone once it is ready.
CREATE TABLE phase_dependencies (
    parent_issue bigint NOT NULL,
    plan_position bigint NOT NULL,
    depends_on integer NOT NULL,
    queue_id text NOT NULL,
    phase_number integer NOT NULL,
    PRIMARY KEY (parent_issue, plan_position, depends_on, queue_id)
);

COMMENT ON TABLE phase_dependencies IS 'Which phases wait for a number of their plan';
COMMENT ON COLUMN phase_dependencies.plan_position IS 'Of a plan without an issue, its queue_position; else 0';
COMMENT ON COLUMN phase_dependencies.depends_on IS 'The number that is waited for';
COMMENT ON COLUMN phase_dependencies.queue_id IS 'The phase that waits';
COMMENT ON COLUMN phase_dependencies.phase_number IS 'Its own number';

-- Reports of phases that were not in the queue yet. The latest 10,000; a row goes when its phase comes.
CREATE TABLE early_reports (
    queue_id text PRIMARY KEY,
    ordinal bigint NOT NULL UNIQUE,
    adw_id text NOT NULL,
    failed text,
    trigger_next boolean NOT NULL,
    reported_at timestamptz NOT NULL
);

COMMENT ON TABLE early_reports IS 'Ends of phases that were reported before they were enqueued';
COMMENT ON COLUMN early_reports.failed IS 'Why it failed; null if it completed';

-- Phases that were taken out because their issue was closed, to be put back if it is opened again.
CREATE TABLE shelved_phases (
    queue_id text PRIMARY KEY,
    parent_issue bigint NOT NULL,
    phase_number integer NOT NULL,
    issue_number bigint,
    depends_on_phases integer[] NOT NULL,
    phase_data jsonb NOT NULL,
    priority integer NOT NULL
);

CREATE INDEX shelved_phases_issue ON shelved_phases (parent_issue);

COMMENT ON TABLE shelved_phases IS 'Phases of closed issues that had not begun';

-- One row: what is counted while events are applied, so that nothing has to be counted anew.
CREATE TABLE queue_state (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    active integer NOT NULL CHECK (active >= 0),
    early_reports bigint NOT NULL CHECK (early_reports >= 0)
);

INSERT INTO queue_state (active, early_reports) VALUES (0, 0);

COMMENT ON TABLE queue_state IS 'Totals of the queue';
COMMENT ON COLUMN queue_state.active IS 'Phases that are announced as ready or running';
COMMENT ON COLUMN queue_state.early_reports IS 'Reports that were ever kept for phases that may come';

-- The transactional outbox: announcements that are not in stream PHASES yet. Rows go once they are.
CREATE TABLE phase_outbox (
    cause bigint NOT NULL CHECK (cause >= 1),
    ordinal integer NOT NULL CHECK (ordinal >= 0),
    queue_id text NOT NULL,
    queue_position bigint NOT NULL,
    subject text NOT NULL,
    phase text NOT NULL,
    phase_data jsonb,
    PRIMARY KEY (cause, ordinal)
);

COMMENT ON TABLE phase_outbox IS 'Changes of phases that are still to be announced, in order of cause and ordinal';
COMMENT ON COLUMN phase_outbox.cause IS 'Stream sequence of the event that caused it';
COMMENT ON COLUMN phase_outbox.ordinal IS 'Its place among the announcements of that event';
COMMENT ON COLUMN phase_outbox.phase IS 'The phase as it was then, as JSON, without its phase_data';
COMMENT ON COLUMN phase_outbox.phase_data IS 'Only of a phase that is no more in phase_queue';

COMMENT ON TABLE queue_config IS 'What applies to the queue as a whole';
COMMENT ON COLUMN queue_config.updated_at IS 'When the stream stored the event that set it; 1970 for a default';
