-- Every stored event, in a chain of hashes. README.md in this folder says how an entry is hashed.
-- The trail outlives the stream: it is appended to, and never rebuilt.

CREATE TABLE audit_trail (
    audit_sequence bigint PRIMARY KEY CHECK (audit_sequence >= 1),
    stream_sequence bigint NOT NULL CHECK (stream_sequence >= 1),
    received_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    version smallint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('stored', 'redelivered', 'conflict', 'suspected_replay')),
    event_id text NOT NULL,
    source text NOT NULL,
    event_type text NOT NULL,
    body_sha256 bytea NOT NULL CHECK (octet_length(body_sha256) = 32),
    signature text NOT NULL,
    key_id text NOT NULL,
    previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
    entry_hash bytea NOT NULL CHECK (octet_length(entry_hash) = 32)
);

-- Lists are read newest first, by audit_sequence.
CREATE INDEX audit_trail_event ON audit_trail (event_id, audit_sequence);
-- Nearly every entry is of kind stored; only the others are worth finding by kind.
CREATE INDEX audit_trail_kind ON audit_trail (kind, audit_sequence) WHERE kind <> 'stored';
-- Entries lie in the order of time, so the few pages of a range are found by its bounds.
CREATE INDEX audit_trail_recorded ON audit_trail USING brin (recorded_at) WITH (autosummarize = on);

COMMENT ON TABLE audit_trail IS 'Append-only: a row per stored event, each hash covering the one before';
COMMENT ON COLUMN audit_trail.audit_sequence IS 'Position in the trail, from 1 without gaps';
COMMENT ON COLUMN audit_trail.stream_sequence IS 'Position of the event in stream WEBHOOKS';
COMMENT ON COLUMN audit_trail.received_at IS 'When the gateway received the event';
COMMENT ON COLUMN audit_trail.recorded_at IS 'When the stream recorded the event';
COMMENT ON COLUMN audit_trail.version IS 'Version of the encoding under entry_hash';
COMMENT ON COLUMN audit_trail.kind IS
    'stored; redelivered: same id and body within 7 days; conflict: same id, other body; suspected_replay: same body, other id';
COMMENT ON COLUMN audit_trail.signature IS 'The signature header as received';
COMMENT ON COLUMN audit_trail.key_id IS 'Id of the key that the signature matched';
COMMENT ON COLUMN audit_trail.previous_hash IS 'entry_hash of the entry before; 32 zero bytes in the first';
COMMENT ON COLUMN audit_trail.entry_hash IS 'SHA-256 over the encoding of all other columns';

CREATE FUNCTION audit_trail_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_trail is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Per statement, so that even one that touches no row is refused.
CREATE TRIGGER audit_trail_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_trail
    FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuse_change();
-- In sessions that replicate, too.
ALTER TABLE audit_trail ENABLE ALWAYS TRIGGER audit_trail_append_only;

REVOKE UPDATE, DELETE, TRUNCATE ON audit_trail FROM PUBLIC;
