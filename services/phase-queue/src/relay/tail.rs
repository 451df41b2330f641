use hookstream_bus::Bus;
use hookstream_event::Header;
use time::OffsetDateTime;

use super::{Broken, STREAM};

/// Names the stream that `hs-cause` counts in: when it was created, in microseconds since 1970.
pub(super) const ORIGIN: &str = "hs-origin";
/// Stream sequence of the event that caused an announcement.
pub(super) const CAUSE: &str = "hs-cause";
/// Its place among the announcements of that event.
pub(super) const ORDINAL: &str = "hs-ordinal";

/// An announcement's place in the order of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// When `WEBHOOKS` was created.
    pub(super) origin: OffsetDateTime,
    pub(super) cause: i64,
    pub(super) ordinal: i32,
}

impl Position {
    /// Before the first announcement of that `WEBHOOKS`.
    pub(super) fn start_of(origin: OffsetDateTime) -> Self {
        Self { origin, cause: 0, ordinal: 0 }
    }

    /// As headers.
    pub(super) fn headers(&self) -> Vec<Header> {
        let origin = self.origin.unix_timestamp_nanos() / 1000;
        vec![
            (ORIGIN.into(), origin.to_string()),
            (CAUSE.into(), self.cause.to_string()),
            (ORDINAL.into(), self.ordinal.to_string()),
        ]
    }

    fn from_headers(headers: &[(impl AsRef<str>, String)]) -> Option<Self> {
        let find =
            |wanted: &str| headers.iter().find(|(name, _)| name.as_ref() == wanted).map(|(_, value)| value);
        let origin: i128 = find(ORIGIN)?.parse().ok()?;
        Some(Self {
            origin: OffsetDateTime::from_unix_timestamp_nanos(origin.checked_mul(1000)?).ok()?,
            cause: find(CAUSE)?.parse().ok()?,
            ordinal: find(ORDINAL)?.parse().ok()?,
        })
    }
}

/// Where `PHASES` ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    /// Last sequence of the stream.
    pub(super) sequence: u64,
    /// The announcement there; before all others if the stream holds none.
    pub(super) position: Position,
}

impl Tail {
    pub(super) async fn read(bus: &Bus) -> Result<Self, Broken> {
        let stream = bus.stream_state(STREAM).await?;
        let sequence = stream.last_sequence;
        let nothing = Position::start_of(OffsetDateTime::UNIX_EPOCH);
        if stream.messages == 0 {
            return Ok(Self { sequence, position: nothing });
        }
        // None if it has expired just now.
        let Some(last) = bus.message_at(STREAM, sequence).await? else {
            return Ok(Self { sequence, position: nothing });
        };
        let position = Position::from_headers(&last.headers).ok_or(Broken::Stranger(sequence))?;
        Ok(Self { sequence, position })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_position_comes_back_from_its_headers() {
        let origin = datetime!(2026-11-25 10:00:00.123_456 UTC);
        let position = Position { origin, cause: 77, ordinal: 3 };
        assert_eq!(Position::from_headers(&position.headers()), Some(position));
        assert_eq!(Position::from_headers(&position.headers()[..2]), None);
        let huge = [(ORIGIN, i128::MAX.to_string())];
        assert_eq!(Position::from_headers(&huge), None);
    }
}
