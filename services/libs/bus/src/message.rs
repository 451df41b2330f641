use async_nats::HeaderMap;
use bytes::Bytes;
use hookstream_event::{Envelope, EnvelopeError, RecordedEvent, Subject};
use time::OffsetDateTime;

use crate::api::microseconds;

/// What a durable consumer hands us: a stored event and where it stands. Not acked by being dropped.
#[derive(Debug, Clone)]
pub struct Message {
    /// Position in the stream, from 1.
    pub stream_sequence: u64,
    /// Position among what this consumer was handed since it was created or rewound, from 1.
    pub consumer_sequence: u64,
    /// How often the consumer was handed this message, from 1.
    pub attempt: u32,
    /// How many messages the consumer was not yet handed once, after this one.
    pub pending: u64,
    /// When the stream stored it.
    pub recorded_at: OffsetDateTime,
    /// Subject it is stored under.
    pub subject: String,
    /// Headers by name.
    pub headers: Vec<(String, String)>,
    /// The exact bytes; empty where the consumer reads headers only.
    pub payload: Bytes,
    pub(crate) ack_subject: String,
}

/// Size of a payload that was not handed out.
const PAYLOAD_BYTES_HEADER: &str = "Nats-Msg-Size";

/// A stored message is no event of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// Its subject is not `webhooks.<source>.<event>.<action>`.
    #[error("subject {0} is not that of an event")]
    Subject(String),
    /// Its headers make no envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

impl Undecodable {
    /// A short name for the reason of a dead letter.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Subject(_) => "unknown_subject",
            Self::Envelope(_) => "unreadable_envelope",
        }
    }
}

impl Message {
    /// The event that the message carries.
    pub fn to_event(&self) -> Result<RecordedEvent, Undecodable> {
        let subject =
            Subject::parse_stored(&self.subject).ok_or_else(|| Undecodable::Subject(self.subject.clone()))?;
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Ok(RecordedEvent {
            stream_sequence: self.stream_sequence,
            recorded_at: self.recorded_at,
            attempt: self.attempt,
            subject,
            envelope: Envelope::from_headers(headers)?,
            payload: self.payload.to_vec(),
            payload_bytes: self.payload_bytes(),
        })
    }

    /// The server says how much it left out where the consumer reads headers only.
    /// (nats-io/nats-architecture-and-design, adr/ADR-31.md)
    fn payload_bytes(&self) -> u64 {
        let left_out = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(PAYLOAD_BYTES_HEADER));
        left_out.and_then(|(_, value)| value.parse().ok()).unwrap_or(self.payload.len() as u64)
    }

    /// Reads a delivered message; `None` if its reply subject is not that of a consumer.
    pub(crate) fn read(message: async_nats::Message) -> Option<Self> {
        let ack_subject = message.reply.as_ref()?.to_string();
        let position = Position::parse(&ack_subject)?;
        Some(Self {
            stream_sequence: position.stream_sequence,
            consumer_sequence: position.consumer_sequence,
            attempt: position.attempt,
            pending: position.pending,
            recorded_at: position.recorded_at,
            subject: message.subject.to_string(),
            headers: header_list(message.headers.as_ref()),
            payload: message.payload,
            ack_subject,
        })
    }
}

struct Position {
    attempt: u32,
    stream_sequence: u64,
    consumer_sequence: u64,
    recorded_at: OffsetDateTime,
    pending: u64,
}

impl Position {
    /// `$JS.ACK.<stream>.<consumer>.<attempt>.<stream seq>.<consumer seq>.<ns>.<pending>`, or with
    /// `<domain>.<account>` before the stream and perhaps more tokens behind.
    /// (nats-io/nats-architecture-and-design, adr/ADR-15.md)
    fn parse(ack_subject: &str) -> Option<Self> {
        let tokens: Vec<&str> = ack_subject.strip_prefix("$JS.ACK.")?.split('.').collect();
        let numbers = match tokens.len() {
            7 => &tokens[2..7],
            9.. => &tokens[4..9],
            _ => return None,
        };
        Some(Self {
            attempt: numbers[0].parse().ok()?,
            stream_sequence: numbers[1].parse().ok()?,
            consumer_sequence: numbers[2].parse().ok()?,
            recorded_at: microseconds(
                OffsetDateTime::from_unix_timestamp_nanos(numbers[3].parse().ok()?).ok()?,
            ),
            pending: numbers[4].parse().ok()?,
        })
    }
}

/// Headers as a list ordered by name; the client keeps them in no order.
pub(crate) fn header_list(headers: Option<&HeaderMap>) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = headers
        .into_iter()
        .flat_map(HeaderMap::iter)
        .flat_map(|(name, values)| {
            let name: &str = name.as_ref();
            values.iter().map(move |value| (name.to_owned(), value.as_str().to_owned()))
        })
        .collect();
    list.sort_by(|(one, _), (other, _)| one.cmp(other));
    list
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_position_is_read_from_either_form_of_the_ack_subject() {
        let short = "$JS.ACK.WEBHOOKS.audit.2.7.5.1795466123831908445.9";
        let long = "$JS.ACK._.hash.WEBHOOKS.audit.2.7.5.1795466123831908445.9";
        let longer = "$JS.ACK.hub.hash.WEBHOOKS.audit.2.7.5.1795466123831908445.9.token";
        for subject in [short, long, longer] {
            let position = Position::parse(subject).unwrap();
            let numbers =
                (position.attempt, position.stream_sequence, position.consumer_sequence, position.pending);
            assert_eq!(numbers, (2, 7, 5, 9), "{subject}");
            assert_eq!(position.recorded_at, datetime!(2026-11-23 20:35:23.831_908 UTC));
        }
    }

    #[test]
    fn any_other_reply_subject_is_no_position() {
        for subject in [
            "",
            "_INBOX.x",
            "$JS.ACK.WEBHOOKS.audit",
            "$JS.ACK.WEBHOOKS.audit.2.7.5.soon.9",
            "$JS.ACK._.WEBHOOKS.audit.2.7.5.1795466123831908445.9",
            "$JS.ACK.WEBHOOKS.audit.2.7.5.99999999999999999999999999999999.9",
        ] {
            assert!(Position::parse(subject).is_none(), "{subject}");
        }
    }
}
