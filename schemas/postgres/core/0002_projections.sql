-- What every projection shares: its position, its memory of what it has seen, and what it gave up on.

CREATE TABLE projection_checkpoints (
    projection text PRIMARY KEY,
    stream text NOT NULL,
    stream_created timestamptz NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 0),
    message_id text,
    epoch bigint NOT NULL CHECK (epoch >= 1),
    generation integer NOT NULL CHECK (generation >= 1),
    updated_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE projection_checkpoints IS 'How far each projection has come; written with its effects';
COMMENT ON COLUMN projection_checkpoints.stream_created IS 'Tells a recreated stream from the one we knew';
COMMENT ON COLUMN projection_checkpoints.sequence IS 'Last stream sequence whose effects are committed';
COMMENT ON COLUMN projection_checkpoints.message_id IS 'Nats-Msg-Id at that sequence, to recognise the stream by';
COMMENT ON COLUMN projection_checkpoints.epoch IS 'Counts leaders; a commit of an older one is refused';
COMMENT ON COLUMN projection_checkpoints.generation IS 'Counts rebuilds of the tables';

-- Named after its view webhook_events, which is what others read.
CREATE TABLE event_memory (
    projection text NOT NULL,
    stream_sequence bigint NOT NULL CHECK (stream_sequence >= 1),
    webhook_id text NOT NULL,
    webhook_type text NOT NULL,
    source text NOT NULL,
    body_sha256 bytea NOT NULL CHECK (octet_length(body_sha256) = 32),
    adw_id text,
    issue_number bigint,
    received_at timestamptz NOT NULL,
    id_derived boolean NOT NULL,
    processed boolean NOT NULL DEFAULT true,
    PRIMARY KEY (projection, stream_sequence)
);

-- An id that the gateway derived from the body may come back within the week, with the same words.
CREATE UNIQUE INDEX event_memory_id ON event_memory (projection, webhook_id) WHERE NOT id_derived;
CREATE INDEX event_memory_body ON event_memory (projection, body_sha256, received_at) WHERE NOT id_derived;
CREATE INDEX event_memory_age ON event_memory (projection, received_at);

COMMENT ON TABLE event_memory IS 'What each projection has seen in the last seven days; older rows go by themselves';
COMMENT ON COLUMN event_memory.webhook_id IS 'Event id, <source>:<delivery id>';
COMMENT ON COLUMN event_memory.processed IS 'False for an event that became a dead letter';

CREATE VIEW webhook_events AS
SELECT
    webhook_id, webhook_type, source, body_sha256, stream_sequence, adw_id, issue_number, received_at, processed
FROM event_memory
WHERE projection = 'task_log';

COMMENT ON VIEW webhook_events IS 'Webhooks of the last seven days, as the task log has seen them';

CREATE TABLE dead_letters (
    projection text NOT NULL,
    stream_sequence bigint NOT NULL CHECK (stream_sequence >= 1),
    event_id text,
    subject text NOT NULL,
    reason text NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL CHECK (attempts >= 0),
    payload bytea,
    headers jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    redriven_at timestamptz,
    PRIMARY KEY (projection, stream_sequence)
);

CREATE INDEX dead_letters_open ON dead_letters (projection, created_at) WHERE redriven_at IS NULL;

COMMENT ON TABLE dead_letters IS 'Events that a projection gave up on, each with the reason';
COMMENT ON COLUMN dead_letters.event_id IS 'Null for a message that is no event';
COMMENT ON COLUMN dead_letters.payload IS 'Null where the projection reads headers only: the stream has it';
