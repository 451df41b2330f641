-- What happened, entry by entry, in a chain of hashes with a Merkle tree over it. README.md in this folder says how an
-- entry is hashed and what proofs are. The trail outlives the stream: it is appended to, and never rebuilt.

CREATE TABLE audit_trail (
    audit_sequence bigint PRIMARY KEY CHECK (audit_sequence >= 1),
    stream_sequence bigint CHECK (stream_sequence >= 1),
    received_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    count bigint NOT NULL CHECK (count >= 1),
    version smallint NOT NULL,
    kind text NOT NULL CHECK (
        kind IN (
            'stored', 'command', 'redelivered', 'conflict', 'suspected_replay', 'rejected', 'operation', 'resumed'
        )
    ),
    stream text,
    event_id text,
    source text,
    event_type text,
    body_sha256 bytea CHECK (octet_length(body_sha256) = 32),
    signature text,
    key_id text,
    actor text,
    details text NOT NULL CHECK (octet_length(details) <= 4096),
    previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
    entry_hash bytea NOT NULL CHECK (octet_length(entry_hash) = 32),
    CHECK (stream_sequence IS NULL OR stream IS NOT NULL),
    -- An event has all that tells it from others.
    CHECK (
        kind IN ('rejected', 'operation', 'resumed')
        OR num_nulls(stream_sequence, event_id, source, event_type, body_sha256) = 0
    )
);

-- Lists are read newest first, by audit_sequence.
CREATE INDEX audit_trail_event ON audit_trail (event_id, audit_sequence) WHERE event_id IS NOT NULL;
-- Nearly every entry is of kind stored; only the others are worth finding by kind.
CREATE INDEX audit_trail_kind ON audit_trail (kind, audit_sequence) WHERE kind <> 'stored';
-- Entries lie in the order of time, so the few pages of a range are found by its bounds.
CREATE INDEX audit_trail_recorded ON audit_trail USING brin (recorded_at) WITH (autosummarize = on);

COMMENT ON TABLE audit_trail IS 'Append-only: a row per event, refusal or act, each hash covering the one before';
COMMENT ON COLUMN audit_trail.audit_sequence IS 'Position in the trail, from 1 without gaps';
COMMENT ON COLUMN audit_trail.stream_sequence IS 'Position in the stream; of several messages, the last one''s';
COMMENT ON COLUMN audit_trail.received_at IS
    'When it happened: the gateway received the event or (the last of) what it refused, the act was done';
COMMENT ON COLUMN audit_trail.recorded_at IS 'When the stream recorded it';
COMMENT ON COLUMN audit_trail.count IS 'How many requests or acts the entry stands for';
COMMENT ON COLUMN audit_trail.version IS 'Version of the encoding under entry_hash';
COMMENT ON COLUMN audit_trail.kind IS
    'stored, command; redelivered: same id and body within 7 days; conflict: same id, other body; suspected_replay: same body, other id; rejected; operation; resumed: behind a gap';
COMMENT ON COLUMN audit_trail.stream IS 'Stream that holds what the entry is about, such as WEBHOOKS';
COMMENT ON COLUMN audit_trail.event_type IS 'CloudEvents type of an event; the name of an act';
COMMENT ON COLUMN audit_trail.signature IS 'The signature header as received';
COMMENT ON COLUMN audit_trail.key_id IS 'Id of the key that the signature matched, or that the act is about';
COMMENT ON COLUMN audit_trail.actor IS 'Who did it, such as api:<token name>';
COMMENT ON COLUMN audit_trail.details IS 'JSON object with what is particular to the kind; hashed byte for byte';
COMMENT ON COLUMN audit_trail.previous_hash IS 'entry_hash of the entry before; 32 zero bytes in the first';
COMMENT ON COLUMN audit_trail.entry_hash IS 'SHA-256 over the encoding of all other columns';

-- The tree's complete subtrees of 256, 256^2, … leaves.
CREATE TABLE audit_tree (
    level smallint CHECK (level > 0 AND level % 8 = 0),
    position bigint CHECK (position >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (level, position)
);

COMMENT ON TABLE audit_tree IS 'Append-only: kept nodes of the Merkle tree over audit_trail';
COMMENT ON COLUMN audit_tree.level IS 'The subtree has 2^level leaves';
COMMENT ON COLUMN audit_tree.position IS 'How many subtrees of this level are to its left';

-- Where the trail ends. Whoever appends locks this one row, so that there is one order.
CREATE TABLE audit_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    audit_sequence bigint NOT NULL CHECK (audit_sequence >= 0),
    entry_hash bytea NOT NULL CHECK (octet_length(entry_hash) = 32),
    peaks bytea NOT NULL
);
INSERT INTO audit_head (audit_sequence, entry_hash, peaks) VALUES (0, decode(repeat('00', 32), 'hex'), '');

COMMENT ON TABLE audit_head IS 'One row: where audit_trail ends, and the right edge of its tree';
COMMENT ON COLUMN audit_head.peaks IS 'Roots of the complete subtrees that the tree consists of, the largest first';

CREATE TABLE audit_checkpoints (
    tree_size bigint PRIMARY KEY CHECK (tree_size >= 1),
    note text NOT NULL CHECK (octet_length(note) <= 4096)
);

COMMENT ON TABLE audit_checkpoints IS 'Append-only: signed checkpoints of the trail (C2SP tlog-checkpoint)';
COMMENT ON COLUMN audit_checkpoints.tree_size IS 'How many entries the checkpoint covers, as its note says';

CREATE FUNCTION audit_trail_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Per statement, so that even one that touches no row is refused; ALWAYS: in sessions that replicate, too.
CREATE TRIGGER audit_trail_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_trail
    FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuse_change();
CREATE TRIGGER audit_tree_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_tree
    FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuse_change();
CREATE TRIGGER audit_checkpoints_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuse_change();
CREATE TRIGGER audit_head_stays
    BEFORE DELETE OR TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuse_change();
ALTER TABLE audit_trail ENABLE ALWAYS TRIGGER audit_trail_append_only;
ALTER TABLE audit_tree ENABLE ALWAYS TRIGGER audit_tree_append_only;
ALTER TABLE audit_checkpoints ENABLE ALWAYS TRIGGER audit_checkpoints_append_only;
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER audit_head_stays;

REVOKE UPDATE, DELETE, TRUNCATE ON audit_trail, audit_tree, audit_checkpoints FROM PUBLIC;
REVOKE DELETE, TRUNCATE ON audit_head FROM PUBLIC;
