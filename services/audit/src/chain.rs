//! The chain of hashes: how an entry is encoded and hashed, and how a chain is checked. Pure.
//!
//! `schemas/postgres/audit/README.md` describes the encoding for those who write a verifier of their own;
//! `vectors.json` beside it has entries with their encodings and hashes, which tests here hold to.

mod verifier;

use hookstream_event::BodyDigest;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

pub use verifier::{Broken, Fault, Head, Verifier, verify};

/// First field of every encoding, so that its hash can be of nothing else.
pub const DOMAIN: &str = "hookstream audit entry";

/// The version of the encoding that new entries have.
pub const VERSION: i16 = 1;

/// `previous_hash` of the first entry.
pub const GENESIS: Hash = Hash([0; 32]);

/// SHA-256 of an entry's encoding. Printed as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hash({self})")
    }
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

/// What an entry says, without its hashes. The fields are columns of `audit_trail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `stored`, `redelivered`, `conflict` or `suspected_replay`.
    pub kind: String,
    /// Event id.
    pub event_id: String,
    /// Position in the stream.
    pub stream_sequence: i64,
    /// Who sent it.
    pub source: String,
    /// CloudEvents type.
    pub event_type: String,
    /// SHA-256 of the payload.
    pub body_sha256: BodyDigest,
    /// The signature header as received.
    pub signature: String,
    /// Id of the key that matched.
    pub key_id: String,
    /// When the gateway received it.
    pub received_at: Micros,
    /// When the stream recorded it.
    pub recorded_at: Micros,
}

/// A row of `audit_trail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Version of the encoding.
    pub version: i16,
    /// Position in the trail, from 1.
    pub audit_sequence: i64,
    /// What it says.
    pub record: Record,
    /// Hash of the entry before; [`GENESIS`] in the first.
    pub previous_hash: Hash,
    /// Hash of this entry.
    pub entry_hash: Hash,
}

impl Entry {
    /// The entry that follows `head`.
    pub fn append(head: Head, record: Record) -> Self {
        let mut entry = Self {
            version: VERSION,
            audit_sequence: head.audit_sequence + 1,
            record,
            previous_hash: head.entry_hash,
            entry_hash: GENESIS,
        };
        entry.entry_hash = entry.computed_hash();
        entry
    }

    /// Where a chain ends that this entry is the last of.
    pub fn head(&self) -> Head {
        Head { audit_sequence: self.audit_sequence, entry_hash: self.entry_hash }
    }

    /// Every field but `entry_hash`, each behind its length as four bytes, big-endian. Texts are UTF-8, numbers and
    /// times eight bytes, big-endian, two's complement.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoding = Vec::with_capacity(512);
        let record = &self.record;
        let mut put = |field: &[u8]| {
            // Columns hold at most 1 GiB.
            let length = u32::try_from(field.len()).expect("a field is shorter than 4 GiB");
            encoding.extend_from_slice(&length.to_be_bytes());
            encoding.extend_from_slice(field);
        };
        put(DOMAIN.as_bytes());
        put(&i64::from(self.version).to_be_bytes());
        put(&self.audit_sequence.to_be_bytes());
        put(record.kind.as_bytes());
        put(record.event_id.as_bytes());
        put(&record.stream_sequence.to_be_bytes());
        put(record.source.as_bytes());
        put(record.event_type.as_bytes());
        put(record.body_sha256.as_bytes());
        put(record.signature.as_bytes());
        put(record.key_id.as_bytes());
        put(&record.received_at.0.to_be_bytes());
        put(&record.recorded_at.0.to_be_bytes());
        put(&self.previous_hash.0);
        encoding
    }

    /// What `entry_hash` has to be.
    pub fn computed_hash(&self) -> Hash {
        Hash(Sha256::digest(self.encode()).into())
    }
}

#[cfg(test)]
mod tests;
