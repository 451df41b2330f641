use time::{OffsetDateTime, UtcOffset};

use crate::{Attributes, EventType, Subject};

/// Longest CloudEvents source and subject that we derive, in bytes.
pub(crate) const URI_BYTES_MAX: usize = 1024;

/// What a verified body says about its event: everything in the envelope that comes from the body.
///
/// **Invariant:** no text in it holds U+0000, `origin` is visible ASCII, and each text is bounded, so that the headers
/// of the message fit into what the server takes (65,535 bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Where the event is published.
    pub subject: Subject,
    /// CloudEvents `type`.
    pub event_type: EventType,
    /// CloudEvents `source`, a URI reference.
    pub origin: String,
    /// CloudEvents `subject`: what it is about within its source.
    pub about: Option<String>,
    /// When it happened, in UTC; the time of receipt where the body does not say.
    pub occurred_at: OffsetDateTime,
    /// What projections use.
    pub attributes: Attributes,
}

/// `time` in UTC, if that is a time of the years 1 to 9999.
///
/// Beyond them, converting would panic and no RFC 3339 text could hold the result.
pub(crate) fn in_utc(time: OffsetDateTime) -> Option<OffsetDateTime> {
    time.checked_to_offset(UtcOffset::UTC).filter(|time| (1..=9999).contains(&time.year()))
}

/// A text that any header, log line and Postgres column can hold: bounded, without U+0000.
pub(crate) fn bounded_text(text: &str) -> String {
    let cut = text[..text.floor_char_boundary(URI_BYTES_MAX)].replace('\0', "\u{fffd}");
    cut[..cut.floor_char_boundary(URI_BYTES_MAX)].to_owned()
}
