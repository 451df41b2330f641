//! What an entry says, and the bytes that its hash is of.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::chain::Head;
use crate::hash::Hash;

/// First field of every encoding, so that its hash can be of nothing else.
pub const DOMAIN: &str = "hookstream audit entry";

/// The version of the encoding that new entries have.
pub const VERSION: i16 = 1;

/// Most bytes of [`Record::details`].
pub const DETAILS_BYTES_MAX: usize = 4096;

/// Length of a field that is null.
const NULL: u32 = u32::MAX;

/// What entries are about: the values of [`Record::kind`].
pub mod kind {
    /// An event that was new.
    pub const STORED: &str = "stored";
    /// A command: an event by which somebody asked for something, as [`Record::actor`](super::Record::actor) says.
    pub const COMMAND: &str = "command";
    /// An event that came again: same id, same body, within seven days.
    pub const REDELIVERED: &str = "redelivered";
    /// An event with the id of another of the last seven days, and another body.
    pub const CONFLICT: &str = "conflict";
    /// An event with the body of another of the last seven days, under a new id.
    pub const SUSPECTED_REPLAY: &str = "suspected_replay";
    /// Requests that a gateway refused.
    pub const REJECTED: &str = "rejected";
    /// An act of an operator, or of a process by itself, that touches history.
    pub const OPERATION: &str = "operation";
    /// The trail goes on behind a gap: an older database was restored, or the stream is not the one it was.
    pub const RESUMED: &str = "resumed";

    /// All of them.
    pub const ALL: [&str; 8] =
        [STORED, COMMAND, REDELIVERED, CONFLICT, SUSPECTED_REPLAY, REJECTED, OPERATION, RESUMED];
}

/// A time as Postgres keeps it: whole microseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub i64);

impl Micros {
    /// `time`, cut to the microsecond (towards the past).
    pub fn of(time: OffsetDateTime) -> Self {
        let micros = time.unix_timestamp_nanos().div_euclid(1000);
        // Years -9999 to 9999 are within 2^59 microseconds.
        Self(i64::try_from(micros).expect("a time has few enough microseconds"))
    }

    /// The time. `None` beyond the year 9999, which [`Micros::of`] never gives.
    pub fn to_time(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000).ok()
    }
}

/// As RFC 3339 in UTC, with as many digits as there are.
impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_time().and_then(|time| time.format(&Rfc3339).ok());
        serializer
            .serialize_str(&text.ok_or_else(|| serde::ser::Error::custom("a time beyond the year 9999"))?)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)?;
        Ok(Self::of(time))
    }
}

/// What an entry says, without its place and its hashes. The fields are columns of `audit_trail`, where `None` is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<T = String> {
    /// One of [`kind`].
    pub kind: T,
    /// Stream that holds what the entry is about, such as `WEBHOOKS`.
    pub stream: Option<T>,
    /// Position in that stream; of several messages, the last one's.
    pub stream_sequence: Option<i64>,
    /// Event id.
    pub event_id: Option<T>,
    /// Who sent it.
    pub source: Option<T>,
    /// CloudEvents type of an event; the name of an act.
    pub event_type: Option<T>,
    /// SHA-256 of the payload.
    pub body_sha256: Option<Hash>,
    /// The signature header as received.
    pub signature: Option<T>,
    /// Id of the key that matched, or that the act is about.
    pub key_id: Option<T>,
    /// Who did it, such as `api:<token name>`.
    pub actor: Option<T>,
    /// How many requests or acts the entry stands for, at least 1.
    pub count: i64,
    /// What is particular to the kind: a JSON object in one line, hashed byte for byte, at most
    /// [`DETAILS_BYTES_MAX`]; `{}` if there is nothing.
    pub details: T,
    /// When it happened: when the gateway received the event or (the last of) what it refused, when the act was done.
    pub received_at: Micros,
    /// When the stream recorded it.
    pub recorded_at: Micros,
}

/// A row of `audit_trail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<T = String> {
    /// Version of the encoding.
    pub version: i16,
    /// Position in the trail, from 1.
    pub audit_sequence: i64,
    /// What it says.
    #[serde(flatten)]
    pub record: Record<T>,
    /// Hash of the entry before; [`GENESIS`](crate::GENESIS) in the first.
    pub previous_hash: Hash,
    /// Hash of this entry.
    pub entry_hash: Hash,
}

impl<T> Entry<T> {
    /// The same entry with other texts, such as owned ones.
    pub fn map<U>(self, text: impl Fn(T) -> U) -> Entry<U> {
        let record = self.record;
        Entry {
            version: self.version,
            audit_sequence: self.audit_sequence,
            record: Record {
                kind: text(record.kind),
                stream: record.stream.map(&text),
                stream_sequence: record.stream_sequence,
                event_id: record.event_id.map(&text),
                source: record.source.map(&text),
                event_type: record.event_type.map(&text),
                body_sha256: record.body_sha256,
                signature: record.signature.map(&text),
                key_id: record.key_id.map(&text),
                actor: record.actor.map(&text),
                count: record.count,
                details: text(record.details),
                received_at: record.received_at,
                recorded_at: record.recorded_at,
            },
            previous_hash: self.previous_hash,
            entry_hash: self.entry_hash,
        }
    }
}

impl<T: AsRef<str>> Entry<T> {
    /// The entry that follows `head`.
    pub fn append(head: Head, record: Record<T>) -> Self {
        let mut entry = Self {
            version: VERSION,
            audit_sequence: head.audit_sequence + 1,
            record,
            previous_hash: head.entry_hash,
            entry_hash: head.entry_hash,
        };
        entry.entry_hash = entry.computed_hash(&mut Vec::with_capacity(1024));
        entry
    }

    /// Where a chain ends that this entry is the last of.
    pub fn head(&self) -> Head {
        Head { audit_sequence: self.audit_sequence, entry_hash: self.entry_hash }
    }

    /// What `entry_hash` has to be. `buffer` is overwritten; handing the same one in again saves memory.
    pub fn computed_hash(&self, buffer: &mut Vec<u8>) -> Hash {
        buffer.clear();
        self.encode(buffer);
        Hash::of(buffer)
    }

    /// Appends every field but `entry_hash` to `encoding`, each behind its length as four bytes, big-endian; a null is
    /// the length `ff ff ff ff` and nothing else. Texts are UTF-8, numbers and times eight bytes, big-endian, two's
    /// complement. `schemas/postgres/audit/README.md` has it in full.
    pub fn encode(&self, encoding: &mut Vec<u8>) {
        let Record {
            kind,
            stream,
            stream_sequence,
            event_id,
            source,
            event_type,
            body_sha256,
            signature,
            key_id,
            actor,
            count,
            details,
            received_at,
            recorded_at,
        } = &self.record;
        let mut out = Fields(encoding);
        out.bytes(DOMAIN.as_bytes());
        out.integer(i64::from(self.version));
        out.integer(self.audit_sequence);
        out.bytes(kind.as_ref().as_bytes());
        out.text(stream.as_ref());
        out.nullable(stream_sequence.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        out.text(event_id.as_ref());
        out.text(source.as_ref());
        out.text(event_type.as_ref());
        out.nullable(body_sha256.as_ref().map(|digest| digest.0.as_slice()));
        out.text(signature.as_ref());
        out.text(key_id.as_ref());
        out.text(actor.as_ref());
        out.integer(*count);
        out.bytes(details.as_ref().as_bytes());
        out.integer(received_at.0);
        out.integer(recorded_at.0);
        out.bytes(&self.previous_hash.0);
    }
}

/// Writes fields behind their lengths.
struct Fields<'e>(&'e mut Vec<u8>);

impl Fields<'_> {
    fn bytes(&mut self, field: &[u8]) {
        // Columns hold at most 1 GiB.
        let length = u32::try_from(field.len()).expect("a field is shorter than 4 GiB");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
    }

    fn integer(&mut self, number: i64) {
        self.bytes(&number.to_be_bytes());
    }

    fn text<T: AsRef<str>>(&mut self, text: Option<&T>) {
        self.nullable(text.map(|text| text.as_ref().as_bytes()));
    }

    fn nullable(&mut self, field: Option<&[u8]>) {
        match field {
            Some(field) => self.bytes(field),
            None => self.0.extend_from_slice(&NULL.to_be_bytes()),
        }
    }
}
