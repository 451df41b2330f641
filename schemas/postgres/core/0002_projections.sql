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
    PRIMARY KEY (stream_sequence, projection, received_at)
) PARTITION BY LIST (projection);

-- What the gateway derived from a body may come back within the week, with the same words: it is not looked for.
-- No index begins with the projection, which is the same in all of a partition: it would find nothing faster, but might be
-- taken for one that does.
CREATE INDEX event_memory_id ON event_memory (webhook_id) WHERE NOT id_derived;
CREATE INDEX event_memory_body ON event_memory (body_sha256, received_at) WHERE NOT id_derived;

COMMENT ON TABLE event_memory IS
    'What each projection has seen in the last seven days: a partition per projection, and in it one per day';
COMMENT ON COLUMN event_memory.webhook_id IS 'Event id, <source>:<delivery id>';
COMMENT ON COLUMN event_memory.processed IS 'False for an event that became a dead letter';

-- Makes a partition of a table that is partitioned by time, unless it is there. It is made beside the table and attached
-- then, which readers do not have to wait for.
CREATE FUNCTION make_partition(parent text, part text, low timestamp, high timestamp) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(quote_ident(part)) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            parent, part, low AT TIME ZONE 'UTC', high AT TIME ZONE 'UTC'
        );
    END IF;
END
$$;

COMMENT ON FUNCTION make_partition(text, text, timestamp, timestamp) IS 'Makes the partition of a time in UTC, its end excluded';

-- Somebody who still reads the partition is not waited for long, since everybody else would wait behind us.
CREATE FUNCTION drop_first_partition(parent text, below text) RETURNS bigint LANGUAGE plpgsql
SET lock_timeout = '1s' AS $$
DECLARE
    part text;
    rows bigint;
BEGIN
    SELECT child.relname INTO part
    FROM pg_inherits
    JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
    WHERE pg_inherits.inhparent = to_regclass(quote_ident(parent)) AND child.relname < below
    ORDER BY child.relname
    LIMIT 1;
    IF part IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT count(*) FROM %I', part) INTO rows;
    EXECUTE format('DROP TABLE %I', part);
    RETURN rows;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION drop_first_partition(text, text) IS
    'Drops the first partition by name, if it is below that one; how many rows it had, or null if nothing was dropped';

CREATE FUNCTION event_memory_make_partitions(projection text, days date[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    memory text := 'event_memory_' || projection;
    day date;
BEGIN
    IF to_regclass(quote_ident(memory)) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE event_memory INCLUDING ALL) PARTITION BY RANGE (received_at)', memory);
        EXECUTE format('ALTER TABLE event_memory ATTACH PARTITION %I FOR VALUES IN (%L)', memory, projection);
    END IF;
    FOREACH day IN ARRAY days LOOP
        PERFORM make_partition(memory, memory || to_char(day, '_YYYYMMDD'), day, day + 1);
    END LOOP;
END
$$;

COMMENT ON FUNCTION event_memory_make_partitions(text, date[]) IS 'Makes the partitions of UTC days of a projection';

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
