//! The trail against what the stream still holds.

use std::collections::VecDeque;
use std::time::Duration;

use hookstream_bus::{Bus, Message, PullLimits, Selection, Start};
use hookstream_event::BodyDigest;
use hookstream_store::types::Type;
use hookstream_store::{GenericClient, StoreError};
use hookstream_trail::{Entry, Hash, Micros, Resumption};

use super::VerifyError;
use crate::record::WEBHOOKS;
use hookstream_proofs::{entries_after, entries_of_event, resumption_entries};

/// Messages taken at a time, with their payloads.
const PULL: PullLimits = PullLimits { messages: 500, bytes: 32 << 20, wait: Duration::from_secs(2) };

/// Entries loaded at a time.
const PAGE_ENTRIES: i64 = 1000;

/// How much was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// First stream sequence that was compared; 0 if none was.
    pub first: u64,
    /// Last one.
    pub last: u64,
    /// How many events.
    pub events: u64,
}

/// Stream and trail do not agree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// A message has no entry, and is no dead letter either.
    #[error("message {stream_sequence} of the stream ({event_id}) has no audit entry")]
    NoEntry {
        /// Its sequence.
        stream_sequence: u64,
        /// Its id, if it has one.
        event_id: String,
    },
    /// An entry's message is not in the stream, which holds earlier ones.
    #[error(
        "audit entry {audit_sequence}: message {stream_sequence} is no longer in the stream, which holds older ones"
    )]
    NoMessage {
        /// The entry.
        audit_sequence: i64,
        /// The sequence that it is about.
        stream_sequence: i64,
    },
    /// The stream is empty, and ends before what was recorded of it.
    #[error("the stream is empty and ends at message {end}, but message {recorded} was recorded")]
    Ends {
        /// Its last sequence.
        end: u64,
        /// The last that was recorded.
        recorded: u64,
    },
    /// They differ.
    #[error(
        "audit entry {audit_sequence}: message {stream_sequence} of the stream has another {field} than was recorded"
    )]
    Differs {
        /// The entry.
        audit_sequence: i64,
        /// The message.
        stream_sequence: u64,
        /// What differs.
        field: &'static str,
    },
}

/// Compares every message that the stream holds, up to the last event of the trail, with its entry: id, type, source,
/// signature, key, times, and the digest of the payload, which is computed from its bytes.
///
/// `progress` is called now and then with the last stream sequence compared.
pub async fn verify_stream<C: GenericClient + Sync>(
    client: &C,
    bus: &Bus,
    mut progress: impl FnMut(u64),
) -> Result<Compared, VerifyError> {
    let Some(last) = last_recorded(client).await? else { return Ok(Compared::default()) };
    let state = bus.stream_state(WEBHOOKS).await?;
    if state.messages == 0 && state.last_sequence < last {
        return Err(Disagreement::Ends { end: state.last_sequence, recorded: last }.into());
    }
    let mut compared = Compared::default();
    let mut reader = bus.reader(WEBHOOKS, Start::Sequence(state.first_sequence), Selection::default());
    let mut entries = Entries::default();
    while compared.last < last.min(state.last_sequence) {
        let messages = reader.read(&PULL).await?;
        if messages.is_empty() {
            break;
        }
        for message in messages.iter().take_while(|message| message.stream_sequence <= last) {
            if compare(client, &mut entries, message).await? {
                compared.events += 1;
            }
            if compared.first == 0 {
                compared.first = message.stream_sequence;
            }
            compared.last = message.stream_sequence;
        }
        progress(compared.last);
        if messages.last().is_some_and(|message| message.stream_sequence >= last) {
            break;
        }
    }
    if state.messages > 0
        && let Some(entry) = entries.next(client).await?
    {
        return Err(no_message(&entry).into());
    }
    Ok(compared)
}

/// The last stream sequence that the trail has recorded, or passed over when it was resumed on another state of the
/// stream; `None` before the first. The stream cannot end before it, unless something was lost.
pub async fn last_recorded<C: GenericClient + Sync>(client: &C) -> Result<Option<u64>, StoreError> {
    let parameters = [(&WEBHOOKS as _, Type::TEXT)];
    let row = client.query_typed_opt(include_str!("../sql/last_recorded.sql"), &parameters).await?;
    let (at, sequence): (i64, Option<i64>) = match row {
        Some(row) => (row.try_get("audit_sequence")?, row.try_get("stream_sequence")?),
        None => (0, None),
    };
    let later = resumption_entries(client).await?.into_iter().filter(|entry| entry.audit_sequence > at);
    let mut followed = later.filter_map(|entry| {
        serde_json::from_str::<Resumption>(&entry.record.details).ok()?.stream.map(|gap| gap.next)
    });
    let recorded = sequence.and_then(|sequence| u64::try_from(sequence).ok());
    Ok(followed.next_back().map(|next| next.saturating_sub(1)).or(recorded))
}

/// False for a dead letter.
async fn compare<C: GenericClient + Sync>(
    client: &C,
    entries: &mut Entries,
    message: &Message,
) -> Result<bool, VerifyError> {
    let stream_sequence = message.stream_sequence;
    let event = message.to_event().ok();
    let event_id = event.as_ref().map_or_else(String::new, |event| event.envelope.id.as_str().to_owned());
    if !entries.begun {
        entries.begin_at(client, &event_id, stream_sequence).await?;
    }
    let entry = match entries.next(client).await? {
        Some(entry) if sequence_of(&entry) == Some(stream_sequence) => entry,
        other => {
            let passed = other.as_ref().and_then(sequence_of).is_some_and(|at| at < stream_sequence);
            if let (true, Some(entry)) = (passed, &other) {
                return Err(no_message(entry).into());
            }
            if let Some(entry) = other {
                entries.queue.push_front(entry);
            }
            if is_dead(client, stream_sequence).await? {
                return Ok(false);
            }
            return Err(Disagreement::NoEntry { stream_sequence, event_id }.into());
        }
    };
    let audit_sequence = entry.audit_sequence;
    let differs = |field| Disagreement::Differs { audit_sequence, stream_sequence, field };
    let Some(event) = event else { return Err(differs("form: it is no event").into()) };
    let (record, envelope) = (&entry.record, &event.envelope);
    let text = |one: &Option<String>, other: &str| one.as_deref() == Some(other);
    for (same, field) in [
        (text(&record.event_id, envelope.id.as_str()), "event id"),
        (text(&record.source, event.subject.source.as_str()), "subject"),
        (text(&record.event_type, envelope.event_type.as_str()), "event type"),
        (record.body_sha256 == Some(Hash(BodyDigest::of(&message.payload).0)), "body"),
        (record.body_sha256 == Some(Hash(envelope.body_sha256.0)), "digest in its headers"),
        (text(&record.signature, &envelope.signature), "signature"),
        (text(&record.key_id, &envelope.key_id), "key id"),
        (record.received_at == Micros::of(envelope.received_at), "time of receipt"),
        (record.recorded_at == Micros::of(event.recorded_at), "time of recording"),
    ] {
        if !same {
            return Err(differs(field).into());
        }
    }
    Ok(true)
}

fn sequence_of(entry: &Entry) -> Option<u64> {
    entry.record.stream_sequence.and_then(|sequence| u64::try_from(sequence).ok())
}

fn no_message(entry: &Entry) -> Disagreement {
    let stream_sequence = entry.record.stream_sequence.unwrap_or_default();
    Disagreement::NoMessage { audit_sequence: entry.audit_sequence, stream_sequence }
}

async fn is_dead<C: GenericClient + Sync>(client: &C, stream_sequence: u64) -> Result<bool, StoreError> {
    let sequence = i64::try_from(stream_sequence).unwrap_or(i64::MAX);
    let parameters = [(&sequence as _, Type::INT8), (&sequence as _, Type::INT8)];
    let row = client.query_typed_opt(include_str!("../sql/dead_between.sql"), &parameters).await?;
    let dead: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
    Ok(dead > 0)
}

/// The entries about messages of the stream, in order.
#[derive(Default)]
struct Entries {
    begun: bool,
    /// The next one first.
    queue: VecDeque<Entry>,
    /// Audit sequence up to which they were loaded.
    loaded: i64,
    ended: bool,
}

impl Entries {
    /// Begins with the entry of this message, if there is one: the last, for a trail that was resumed may have read the
    /// stream from its beginning once more.
    async fn begin_at<C: GenericClient + Sync>(
        &mut self,
        client: &C,
        event_id: &str,
        stream_sequence: u64,
    ) -> Result<(), StoreError> {
        let entries = entries_of_event(client, event_id).await?;
        let found = entries.iter().rfind(|entry| sequence_of(entry) == Some(stream_sequence));
        if let Some(entry) = found {
            (self.begun, self.loaded) = (true, entry.audit_sequence - 1);
        }
        Ok(())
    }

    async fn next<C: GenericClient + Sync>(&mut self, client: &C) -> Result<Option<Entry>, StoreError> {
        while self.queue.is_empty() && self.begun && !self.ended {
            let page = entries_after(client, self.loaded, PAGE_ENTRIES).await?;
            match page.last() {
                Some(last) => self.loaded = last.audit_sequence,
                None => self.ended = true,
            }
            self.queue
                .extend(page.into_iter().filter(|entry| entry.record.stream.as_deref() == Some(WEBHOOKS)));
        }
        Ok(self.queue.pop_front())
    }
}
