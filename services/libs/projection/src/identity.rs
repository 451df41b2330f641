//! Whether the stream is the one that the checkpoint was made on.
//!
//! A stream that was recreated, truncated or restored to an older state gives old sequences to new events. Following it
//! would skip some and count others twice, so the runner stops and a person decides.

use hookstream_bus::{Bus, BusError, StreamState};
use hookstream_store::checkpoint::Checkpoint;
use time::OffsetDateTime;

/// The stream is not the one we knew. The text says what was found and which commands help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamChanged {
    /// Deleted and made again.
    #[error(
        "stream {stream} was created at {found}, but {projection} has applied events up to {sequence} of one created \
         at {known}: the stream was recreated and its sequences mean other events now. {help}",
        help = Help(.projection)
    )]
    Recreated {
        /// Whose checkpoint.
        projection: String,
        /// Which stream.
        stream: String,
        /// The checkpoint.
        sequence: u64,
        /// Creation time that the checkpoint knows.
        known: OffsetDateTime,
        /// Creation time of the stream as it is.
        found: OffsetDateTime,
    },
    /// It ends before the checkpoint.
    #[error(
        "stream {stream} ends at {last}, but {projection} has applied events up to {sequence}: the stream was \
         truncated or restored from an older copy. {help}",
        help = Help(.projection)
    )]
    Truncated {
        /// Whose checkpoint.
        projection: String,
        /// Which stream.
        stream: String,
        /// The checkpoint.
        sequence: u64,
        /// Last sequence of the stream as it is.
        last: u64,
    },
    /// The message at the checkpoint is another one.
    #[error(
        "message {sequence} of stream {stream} is {found}, but {projection} has applied {known} there: the stream \
         lost its end and has used sequences again. {help}",
        help = Help(.projection), found = .found.as_deref().unwrap_or("one without an id")
    )]
    OtherMessage {
        /// Whose checkpoint.
        projection: String,
        /// Which stream.
        stream: String,
        /// The checkpoint.
        sequence: u64,
        /// Message id that the checkpoint knows.
        known: String,
        /// Message id as it is.
        found: Option<String>,
    },
    /// Events went before they were applied.
    #[error(
        "stream {stream} begins at {first}, but {projection} has applied events only up to {sequence}: what lay \
         between has expired and was never applied. {help}",
        help = Help(.projection)
    )]
    Expired {
        /// Whose checkpoint.
        projection: String,
        /// Which stream.
        stream: String,
        /// The checkpoint.
        sequence: u64,
        /// First sequence of the stream as it is.
        first: u64,
    },
    /// The checkpoint is about another stream altogether.
    #[error("the checkpoint of {projection} is about stream {known}, not {found}")]
    OtherStream {
        /// Whose checkpoint.
        projection: String,
        /// Stream that the checkpoint knows.
        known: String,
        /// Stream that we were told to follow.
        found: String,
    },
}

/// What to do about it.
struct Help<'p>(&'p str);

impl std::fmt::Display for Help<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nothing was applied or acked. `hookstream doctor` shows stream and checkpoint; ")?;
        // The trail is never rebuilt.
        if self.0 == "audit" {
            return f.write_str(
                "`hookstream audit resume` goes on with the stream as it is, and records the gap",
            );
        }
        write!(f, "`hookstream rebuild {}` starts over from the stream as it is", self.0)
    }
}

impl StreamChanged {
    /// What was found, in a word or two.
    pub fn found(&self) -> &'static str {
        match self {
            Self::Recreated { .. } => "the stream was recreated",
            Self::Truncated { .. } => "the stream ends before what was applied",
            Self::OtherMessage { .. } => "the stream holds another message there",
            Self::Expired { .. } => "messages expired before they were applied",
            Self::OtherStream { .. } => "another stream was followed",
        }
    }
}

/// Compares `stream`, as it is now, with the one that `checkpoint` was made on.
pub async fn recognise(
    bus: &Bus,
    checkpoint: &Checkpoint,
    stream: &StreamState,
) -> Result<Result<(), StreamChanged>, BusError> {
    if let Err(changed) = check_stream(checkpoint, stream) {
        return Ok(Err(changed));
    }
    if !holds_checkpoint(checkpoint, stream) {
        return Ok(Ok(()));
    }
    Ok(check_message(checkpoint, bus.message_id_at(&stream.name, checkpoint.sequence).await?))
}

/// Sequence of the oldest event held; one past the last if none is.
pub(crate) fn first_held(stream: &StreamState) -> u64 {
    if stream.messages == 0 { stream.last_sequence + 1 } else { stream.first_sequence }
}

/// Compares what the stream's own state tells.
pub(crate) fn check_stream(checkpoint: &Checkpoint, stream: &StreamState) -> Result<(), StreamChanged> {
    let (projection, sequence) = (checkpoint.projection.clone(), checkpoint.sequence);
    if checkpoint.stream != stream.name {
        let (known, found) = (checkpoint.stream.clone(), stream.name.clone());
        return Err(StreamChanged::OtherStream { projection, known, found });
    }
    let stream_name = stream.name.clone();
    if checkpoint.stream_created != stream.created {
        let (known, found) = (checkpoint.stream_created, stream.created);
        return Err(StreamChanged::Recreated { projection, stream: stream_name, sequence, known, found });
    }
    if stream.last_sequence < sequence {
        let last = stream.last_sequence;
        return Err(StreamChanged::Truncated { projection, stream: stream_name, sequence, last });
    }
    let first = first_held(stream);
    if first > sequence + 1 {
        return Err(StreamChanged::Expired { projection, stream: stream_name, sequence, first });
    }
    Ok(())
}

/// Whether the stream still holds the message at the checkpoint, so that its id can be compared.
pub(crate) fn holds_checkpoint(checkpoint: &Checkpoint, stream: &StreamState) -> bool {
    checkpoint.message_id.is_some()
        && (first_held(stream)..=stream.last_sequence).contains(&checkpoint.sequence)
}

/// Compares the id of the message at the checkpoint, which the stream holds (see [`holds_checkpoint`]).
pub(crate) fn check_message(checkpoint: &Checkpoint, found: Option<String>) -> Result<(), StreamChanged> {
    match &checkpoint.message_id {
        Some(known) if found.as_ref() != Some(known) => Err(StreamChanged::OtherMessage {
            projection: checkpoint.projection.clone(),
            stream: checkpoint.stream.clone(),
            sequence: checkpoint.sequence,
            known: known.clone(),
            found,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(sequence: u64, message_id: Option<&str>) -> Checkpoint {
        Checkpoint {
            projection: "audit".to_owned(),
            stream: "WEBHOOKS".to_owned(),
            stream_created: OffsetDateTime::UNIX_EPOCH,
            sequence,
            message_id: message_id.map(str::to_owned),
            epoch: 1,
            generation: 1,
        }
    }

    fn stream(first_sequence: u64, last_sequence: u64) -> StreamState {
        StreamState {
            name: "WEBHOOKS".to_owned(),
            created: OffsetDateTime::UNIX_EPOCH,
            first_sequence,
            last_sequence,
            messages: (last_sequence + 1).saturating_sub(first_sequence),
            bytes: 0,
            bytes_max: None,
        }
    }

    #[test]
    fn the_stream_we_knew_passes_however_much_of_it_expired_after_us() {
        for (sequence, first, last) in [(0, 1, 9), (9, 1, 9), (9, 5, 12), (9, 10, 12), (9, 10, 9)] {
            let found = check_stream(&checkpoint(sequence, Some("x")), &stream(first, last));
            assert_eq!(found, Ok(()), "{sequence} {first} {last}");
        }
        let never_used = StreamState { messages: 0, ..stream(0, 0) };
        assert_eq!(check_stream(&checkpoint(0, None), &never_used), Ok(()));
    }

    #[test]
    fn every_other_stream_is_named() {
        let recreated =
            StreamState { created: OffsetDateTime::UNIX_EPOCH + time::Duration::DAY, ..stream(1, 99) };
        let text = |checkpoint: &Checkpoint, stream: &StreamState| {
            check_stream(checkpoint, stream).unwrap_err().to_string()
        };
        assert!(text(&checkpoint(9, None), &recreated).contains("was recreated"));
        assert!(text(&checkpoint(9, None), &stream(1, 8)).contains("ends at 8"));
        assert!(text(&checkpoint(9, None), &stream(11, 20)).contains("begins at 11"));
        // All of it expired, and more than we had applied.
        assert!(text(&checkpoint(9, None), &stream(21, 20)).contains("begins at 21"));
        assert!(text(&checkpoint(9, None), &stream(1, 8)).contains("hookstream audit resume"));
        let task_log = Checkpoint { projection: "task_log".to_owned(), ..checkpoint(9, None) };
        assert!(text(&task_log, &stream(1, 8)).contains("hookstream rebuild task_log"));
    }

    #[test]
    fn the_message_at_the_checkpoint_is_compared_while_the_stream_holds_it() {
        let known = checkpoint(9, Some("github:a"));
        assert!(holds_checkpoint(&known, &stream(9, 9)));
        assert!(!holds_checkpoint(&known, &stream(10, 12)));
        assert!(!holds_checkpoint(&checkpoint(9, None), &stream(1, 12)));
        assert_eq!(check_message(&known, Some("github:a".to_owned())), Ok(()));
        let other = check_message(&known, Some("github:b".to_owned())).unwrap_err().to_string();
        assert!(other.contains("is github:b") && other.contains("has applied github:a"), "{other}");
        assert!(check_message(&known, None).unwrap_err().to_string().contains("one without an id"));
    }
}
