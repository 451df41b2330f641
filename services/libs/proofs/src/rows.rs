//! Rows of the trail's tables become entries and hashes, whatever somebody has made of them.

use std::error::Error;

use hookstream_store::types::{FromSql, Type};
use hookstream_store::{PgError, Row, StoreError};
use hookstream_trail::{Entry, Hash, Micros, Record};

/// Microseconds from 1970, where we count from, to 2000, where Postgres does.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The row as an entry; its columns are those of `sql/page.sql`, in that order, which saves looking them up by name two
/// hundred thousand times a second. Fails on what no row of ours holds, such as a digest that is not 32 bytes long.
pub fn entry(row: &Row) -> Result<Entry<&str>, PgError> {
    Ok(Entry {
        version: row.try_get(0)?,
        audit_sequence: row.try_get(1)?,
        record: Record {
            kind: row.try_get(2)?,
            stream: row.try_get(3)?,
            stream_sequence: row.try_get(4)?,
            event_id: row.try_get(5)?,
            source: row.try_get(6)?,
            event_type: row.try_get(7)?,
            body_sha256: row.try_get::<_, Option<Bytes32>>(8)?.map(|digest| Hash(digest.0)),
            signature: row.try_get(9)?,
            key_id: row.try_get(10)?,
            actor: row.try_get(11)?,
            count: row.try_get(12)?,
            details: row.try_get(13)?,
            received_at: row.try_get::<_, PgMicros>(14)?.0,
            recorded_at: row.try_get::<_, PgMicros>(15)?.0,
        },
        previous_hash: Hash(row.try_get::<_, Bytes32>(16)?.0),
        entry_hash: Hash(row.try_get::<_, Bytes32>(17)?.0),
    })
}

/// The same, kept beyond the row.
pub fn owned(row: &Row) -> Result<Entry, StoreError> {
    Ok(entry(row)?.map(str::to_owned))
}

/// A column that holds a hash.
pub fn hash(row: &Row, column: &str) -> Result<Hash, PgError> {
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
struct PgMicros(Micros);

impl<'r> FromSql<'r> for PgMicros {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Micros(i64::from_be_bytes(raw.try_into()?).saturating_add(EPOCH_MICROS))))
    }

    fn accepts(column: &Type) -> bool {
        *column == Type::TIMESTAMPTZ
    }
}
