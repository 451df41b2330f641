//! Whether what the consumer hands us is what comes next.
//!
//! JetStream redelivers only after `ack_wait` and hands out newer messages first, so a message that got lost on the way
//! shows as a hole in the consumer's own numbering, or as a second attempt. Either means: rewind.

use hookstream_bus::Message;

/// Follows one consumer from a rewind on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Continuity {
    /// Consumer sequence of the last message handed to us; 0 after a rewind.
    consumer_sequence: u64,
    /// Its stream sequence; the checkpoint after a rewind.
    stream_sequence: u64,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) stream_sequence: u64,
    pub(crate) consumer_sequence: u64,
    pub(crate) attempt: u32,
}

impl From<&Message> for Position {
    fn from(message: &Message) -> Self {
        Self {
            stream_sequence: message.stream_sequence,
            consumer_sequence: message.consumer_sequence,
            attempt: message.attempt,
        }
    }
}

/// The order was broken. Nothing of the pull is applied; the consumer is rewound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Break {
    #[error("message {0} came for the {1}th time")]
    Redelivered(u64, u32),
    #[error("consumer sequence {expected} was expected, {found} came")]
    Hole { expected: u64, found: u64 },
    #[error("message {found} came after message {last}")]
    Backwards { last: u64, found: u64 },
    #[error("the consumer handed out {handed_out} messages, {seen} of them to us")]
    Elsewhere { seen: u64, handed_out: u64 },
}

impl Continuity {
    /// After the consumer was rewound to what follows `checkpoint`.
    pub(crate) fn after_rewind(checkpoint: u64) -> Self {
        Self { consumer_sequence: 0, stream_sequence: checkpoint }
    }

    /// Takes the next messages, in the order they came, or says what is wrong with them.
    pub(crate) fn take(&mut self, positions: impl IntoIterator<Item = Position>) -> Result<(), Break> {
        for position in positions {
            let expected = self.consumer_sequence + 1;
            let Position { stream_sequence: found, consumer_sequence, attempt } = position;
            if attempt != 1 {
                return Err(Break::Redelivered(found, attempt));
            }
            if consumer_sequence != expected {
                return Err(Break::Hole { expected, found: consumer_sequence });
            }
            if found <= self.stream_sequence {
                return Err(Break::Backwards { last: self.stream_sequence, found });
            }
            *self = Self { consumer_sequence, stream_sequence: found };
        }
        Ok(())
    }

    /// The checkpoint was moved over what the consumer's filter leaves out.
    pub(crate) fn pass_over(&mut self, checkpoint: u64) {
        self.stream_sequence = self.stream_sequence.max(checkpoint);
    }

    /// With nothing in hand, the consumer must have handed out what we have seen and nothing else.
    pub(crate) fn check_idle(&self, handed_out: u64) -> Result<(), Break> {
        let seen = self.consumer_sequence;
        if handed_out == seen { Ok(()) } else { Err(Break::Elsewhere { seen, handed_out }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stream_sequence: u64, consumer_sequence: u64) -> Position {
        Position { stream_sequence, consumer_sequence, attempt: 1 }
    }

    #[test]
    fn successors_are_taken_and_filtered_streams_may_have_gaps() {
        let mut continuity = Continuity::after_rewind(10);
        assert_eq!(continuity.take([at(11, 1), at(15, 2)]), Ok(()));
        assert_eq!(continuity.take([at(16, 3)]), Ok(()));
        assert_eq!(continuity.take([]), Ok(()));
        assert_eq!(continuity.check_idle(3), Ok(()));
    }

    #[test]
    fn a_lost_message_is_a_hole() {
        let mut continuity = Continuity::after_rewind(0);
        let lost = continuity.take([at(1, 1), at(3, 3)]);
        assert_eq!(lost, Err(Break::Hole { expected: 2, found: 3 }));
    }

    #[test]
    fn a_lost_beginning_is_a_hole_too() {
        let lost = Continuity::after_rewind(0).take([at(2, 2)]);
        assert_eq!(lost, Err(Break::Hole { expected: 1, found: 2 }));
    }

    #[test]
    fn a_second_attempt_is_never_taken() {
        let again = Position { attempt: 2, ..at(1, 1) };
        assert_eq!(Continuity::after_rewind(0).take([again]), Err(Break::Redelivered(1, 2)));
    }

    #[test]
    fn what_lies_before_the_checkpoint_is_not_taken() {
        let before = Continuity::after_rewind(10).take([at(10, 1)]);
        assert_eq!(before, Err(Break::Backwards { last: 10, found: 10 }));
    }

    #[test]
    fn another_hand_in_the_consumer_is_noticed_when_idle() {
        let mut continuity = Continuity::after_rewind(0);
        continuity.take([at(1, 1)]).unwrap();
        assert_eq!(continuity.check_idle(2), Err(Break::Elsewhere { seen: 1, handed_out: 2 }));
        assert_eq!(continuity.check_idle(0), Err(Break::Elsewhere { seen: 1, handed_out: 0 }));
    }
}
