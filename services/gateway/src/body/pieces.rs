use bytes::Bytes;
use memmap2::MmapMut;

use super::{ClientRoom, Taken};
use crate::refusal::Refusal;

/// Larger bodies get memory of their own from the system, and give it back to the system: the allocator would keep what
/// it was given back by a few large ones for ever, scattered.
const SMALL_BYTES_MAX: usize = 1024 * 1024;

/// A body in pieces. It has taken room for all the memory that it uses.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    held: Held,
    room: usize,
    taken: Taken,
}

#[derive(Debug)]
enum Held {
    Small(Vec<u8>),
    Large(Mapped),
}

/// Memory for the largest body there may be, of which the system gives us what we fill.
#[derive(Debug)]
struct Mapped {
    map: MmapMut,
    filled: usize,
}

impl Pieces {
    /// None yet, with room that was taken before.
    pub(super) fn with_room(room: usize, taken: Taken) -> Self {
        Self { room, taken, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.held.as_ref().len()
    }

    /// Adds a piece, which must not make the body larger than `bytes_max`.
    pub(super) fn push(&mut self, piece: &[u8], bytes_max: usize, room: &ClientRoom) -> Result<(), Refusal> {
        let needed = self.len() + piece.len();
        match &mut self.held {
            Held::Small(bytes) if needed <= SMALL_BYTES_MAX => {
                if needed > bytes.capacity() {
                    // Twice as much each time, or every piece would be copied over and over.
                    let target = bytes.capacity().saturating_mul(2).min(SMALL_BYTES_MAX.min(bytes_max));
                    let target = target.max(needed);
                    take(room, target, &mut self.room, &mut self.taken)?;
                    bytes.reserve_exact(target - bytes.len());
                }
                bytes.extend_from_slice(piece);
            }
            Held::Small(bytes) => {
                take(room, needed, &mut self.room, &mut self.taken)?;
                let mut mapped = Mapped::new(bytes_max)?;
                mapped.push(bytes);
                mapped.push(piece);
                self.held = Held::Large(mapped);
            }
            Held::Large(mapped) => {
                take(room, needed, &mut self.room, &mut self.taken)?;
                mapped.push(piece);
            }
        }
        Ok(())
    }

    /// The whole, and the room that it has taken.
    pub(super) fn into_parts(self) -> (Bytes, Taken) {
        let bytes = match self.held {
            Held::Small(bytes) => bytes.into(),
            Held::Large(mapped) => Bytes::from_owner(mapped),
        };
        (bytes, self.taken)
    }
}

/// Takes room up to `target` in all.
fn take(room: &ClientRoom, target: usize, has: &mut usize, taken: &mut Taken) -> Result<(), Refusal> {
    room.take(target.saturating_sub(*has), taken)?;
    *has = target.max(*has);
    Ok(())
}

impl Mapped {
    fn new(bytes_max: usize) -> Result<Self, Refusal> {
        // The system may be out of addresses, or set so that it promises no more than it has.
        let map = MmapMut::map_anon(bytes_max).map_err(|_| Refusal::Overloaded)?;
        Ok(Self { map, filled: 0 })
    }

    fn push(&mut self, piece: &[u8]) {
        let end = self.filled + piece.len();
        self.map[self.filled..end].copy_from_slice(piece);
        self.filled = end;
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map[..self.filled]
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(mapped) => mapped.as_ref(),
        }
    }
}

impl Default for Held {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{BodyLimits, Room};
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn room(all_bytes_max: usize) -> Room {
        let (timeout, grace, rate_min) = (Duration::from_secs(30), Duration::from_secs(5), 1000);
        Room::new(&BodyLimits { bytes_max: all_bytes_max, all_bytes_max, timeout, grace, rate_min })
    }

    #[test]
    fn pieces_have_room_for_all_they_hold_and_hold_no_more_than_the_largest_body() {
        let all = room(15);
        let room = all.of(None);
        let mut pieces = Pieces::default();
        for (piece, held) in [("012", 3), ("3", 6), ("456", 10), ("789", 10)] {
            pieces.push(piece.as_bytes(), 10, &room).unwrap();
            assert_eq!(all.left(), 15 - held, "{piece}");
        }
        let mut other = Pieces::default();
        assert_eq!(other.push(b"012345", 10, &room), Err(Refusal::Overloaded));
        let (bytes, taken) = pieces.into_parts();
        assert_eq!((bytes, other.len()), (Bytes::from_static(b"0123456789"), 0));
        drop(taken);
        assert_eq!(all.left(), 15);
    }

    #[test]
    fn a_large_body_is_what_came_and_takes_room_for_that() {
        let (all, body) = (room(10 * MIB), (0..=255).cycle().take(5 * MIB + 7).collect::<Vec<u8>>());
        let room = all.of(None);
        let mut pieces = Pieces::default();
        for piece in body.chunks(100_001) {
            pieces.push(piece, 10 * MIB, &room).unwrap();
        }
        assert_eq!((pieces.len(), all.left()), (body.len(), 10 * MIB - body.len()));
        let mut other = Pieces::default();
        assert_eq!(other.push(&body, 10 * MIB, &room), Err(Refusal::Overloaded));
        assert!(pieces.into_parts().0 == body);
        assert_eq!(all.left(), 10 * MIB);
    }
}
