use time::OffsetDateTime;

use crate::{Envelope, Subject};

/// An event as the stream has it: what projections are given.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    /// Position in the stream, from 1.
    pub stream_sequence: u64,
    /// When the stream stored it.
    pub recorded_at: OffsetDateTime,
    /// How often JetStream has handed this message to the consumer, from 1.
    pub attempt: u32,
    /// `webhooks.<source>.<event>.<action>`.
    pub subject: Subject,
    /// Our metadata.
    pub envelope: Envelope,
    /// The exact bytes received and verified; empty where the consumer reads headers only.
    pub payload: Vec<u8>,
    /// How many bytes were received, whether they are here or not.
    pub payload_bytes: u64,
}
