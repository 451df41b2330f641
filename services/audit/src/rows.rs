//! Rows of `audit_trail` become entries, whatever somebody has made of them.

use std::error::Error;

use hookstream_event::BodyDigest;
use hookstream_store::types::{FromSql, Type};
use hookstream_store::{PgError, Row};

use crate::chain::{Entry, Hash, Micros, Record};

/// Microseconds from 1970, where we count from, to 2000, where Postgres does.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The row as an entry. Fails on what no row of ours holds: a null, or a digest that is not 32 bytes long.
pub(crate) fn entry(row: &Row) -> Result<Entry, PgError> {
    Ok(Entry {
        version: row.try_get("version")?,
        audit_sequence: row.try_get("audit_sequence")?,
        record: Record {
            kind: row.try_get("kind")?,
            event_id: row.try_get("event_id")?,
            stream_sequence: row.try_get("stream_sequence")?,
            source: row.try_get("source")?,
            event_type: row.try_get("event_type")?,
            body_sha256: BodyDigest(row.try_get::<_, Bytes32>("body_sha256")?.0),
            signature: row.try_get("signature")?,
            key_id: row.try_get("key_id")?,
            received_at: row.try_get("received_at")?,
            recorded_at: row.try_get("recorded_at")?,
        },
        previous_hash: hash(row, "previous_hash")?,
        entry_hash: hash(row, "entry_hash")?,
    })
}

/// A column that holds a hash.
pub(crate) fn hash(row: &Row, column: &str) -> Result<Hash, PgError> {
    Ok(Hash(row.try_get::<_, Bytes32>(column)?.0))
}

struct Bytes32([u8; 32]);

impl<'r> FromSql<'r> for Bytes32 {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(column: &Type) -> bool {
        *column == Type::BYTEA
    }
}

/// Read as the number that Postgres keeps, so that no time is out of range: not even `infinity`, which is no time that
/// was ever hashed.
impl<'r> FromSql<'r> for Micros {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?).saturating_add(EPOCH_MICROS)))
    }

    fn accepts(column: &Type) -> bool {
        *column == Type::TIMESTAMPTZ
    }
}
