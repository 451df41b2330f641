use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::CONTENT_LENGTH;
use tokio::time::{Instant, timeout_at};

use crate::refusal::Refusal;

mod pieces;
mod room;

use pieces::Pieces;
pub(crate) use room::Room;
use room::{ClientRoom, Taken};

/// Bounds on bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Largest body, in bytes.
    pub bytes_max: usize,
    /// Bytes of all bodies in hand together.
    pub all_bytes_max: usize,
    /// Longest time for a whole body.
    pub timeout: Duration,
    /// How long a body may take before its rate counts.
    pub grace: Duration,
    /// Slowest body, in bytes per second, on average since its start and beyond the grace.
    pub rate_min: u64,
}

/// Bytes that have taken room, which is free again once nobody holds them: also those that wait to be sent on.
struct Roomed {
    bytes: Bytes,
    _room: Taken,
}

impl AsRef<[u8]> for Roomed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Refuses a body that says beforehand that it is too large: before it is read, and before `100 Continue` asks for it.
pub(crate) fn check_declared_size(headers: &HeaderMap, limits: &BodyLimits) -> Result<(), Refusal> {
    // hyper has refused requests whose lengths are malformed or differ.
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match declared {
        Some(bytes) if usize::try_from(bytes).map_or(true, |bytes| bytes > limits.bytes_max) => {
            Err(Refusal::TooLarge(limits.bytes_max))
        }
        _ => Ok(()),
    }
}

/// A body on its way.
pub(crate) struct Arriving<B> {
    body: B,
    begun: bool,
    over: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Arriving<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { begun: false, over: body.is_end_stream(), body }
    }

    /// Whether reading has begun, which asks a client that waits to be told for its body.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// What is left to read; `None` if all of it has been read.
    pub(crate) fn left(self) -> Option<B> {
        (!self.over).then_some(self.body)
    }

    /// Reads the whole of it within the limits. Its room is free again once it and all its clones are dropped.
    pub(crate) async fn read(&mut self, limits: &BodyLimits, room: &ClientRoom) -> Result<Bytes, Refusal> {
        let start = Instant::now();
        self.begun = true;
        // Most bodies come in one piece, which needs no copy.
        let (mut only, mut taken) = (Bytes::new(), Taken::default());
        let mut pieces = Pieces::default();
        loop {
            let received = only.len() + pieces.len();
            let frame = match timeout_at(start + patience(limits, received), self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return Err(Refusal::BrokenBody),
                Ok(None) => break,
                Err(_) => return Err(Refusal::SlowBody),
            };
            // Trailers are of no use to us.
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > limits.bytes_max - received {
                return Err(Refusal::TooLarge(limits.bytes_max));
            }
            if received == 0 {
                room.take(data.len(), &mut taken)?;
                only = data;
                continue;
            }
            if !only.is_empty() {
                // With the room that it has taken.
                pieces = Pieces::with_room(only.len(), std::mem::take(&mut taken));
                pieces.push(&std::mem::take(&mut only), limits.bytes_max, room)?;
            }
            pieces.push(&data, limits.bytes_max, room)?;
        }
        self.over = true;
        let (bytes, room) = if pieces.len() > 0 { pieces.into_parts() } else { (only, taken) };
        Ok(Bytes::from_owner(Roomed { bytes, _room: room }))
    }
}

/// How long a body may have taken by now: its grace, and the time that what has come deserves at the lowest rate.
fn patience(limits: &BodyLimits, received: usize) -> Duration {
    let milliseconds = (received as u64).saturating_mul(1000) / limits.rate_min.max(1);
    limits.grace.saturating_add(Duration::from_millis(milliseconds)).min(limits.timeout)
}

/// Reads and drops what is left of a refused body, within bounds: closing a socket with bytes unread resets it, and a
/// client that is still sending would never see the answer.
pub(crate) async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B, limits: BodyLimits) {
    const PAUSE_MAX: Duration = Duration::from_secs(2);
    let deadline = Instant::now() + limits.timeout.min(Duration::from_secs(10));
    let mut left = limits.bytes_max.saturating_mul(2);
    // Whoever pauses for so long is not in the middle of sending.
    let until = || deadline.min(Instant::now() + PAUSE_MAX);
    while let Ok(Some(Ok(frame))) = timeout_at(until(), body.frame()).await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    const LIMITS: BodyLimits = BodyLimits {
        bytes_max: 10,
        all_bytes_max: 15,
        timeout: Duration::from_secs(30),
        grace: Duration::from_secs(5),
        rate_min: 1000,
    };

    #[test]
    fn patience_grows_with_what_has_come_up_to_the_whole_timeout() {
        assert_eq!(patience(&LIMITS, 0), Duration::from_secs(5));
        assert_eq!(patience(&LIMITS, 2500), Duration::from_millis(7500));
        assert_eq!(patience(&LIMITS, usize::MAX), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn bodies_share_a_room_and_leave_it() {
        let room = Room::new(&LIMITS).of(None);
        let read = async |bytes: &'static [u8]| {
            Arriving::new(Full::new(Bytes::from(bytes))).read(&LIMITS, &room).await
        };
        let first = read(b"0123456789").await.unwrap();
        assert_eq!(read(b"012345").await.unwrap_err(), Refusal::Overloaded);
        assert_eq!(read(b"01234").await.unwrap(), &b"01234"[..]);
        let sent_on = first.clone();
        drop(first);
        assert_eq!(read(b"012345").await.unwrap_err(), Refusal::Overloaded, "somebody still has it");
        drop(sent_on);
        assert_eq!(read(b"0123456789").await.unwrap(), &b"0123456789"[..]);
        assert_eq!(read(b"0123456789A").await.unwrap_err(), Refusal::TooLarge(10));
        assert_eq!(read(b"").await.unwrap(), &b""[..]);
    }
}
