//! Values of columns as JSON has them.

use std::error::Error;

use hookstream_store::Row;
use hookstream_store::types::{FromSql, Type};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::problem::Problem;

/// The value of a column, by name.
pub(crate) fn column<'r, T: FromSql<'r>>(row: &'r Row, name: &str) -> Result<T, Problem> {
    row.try_get(name).map_err(|error| Problem::from(hookstream_store::StoreError::from(error)))
}

/// A `timestamptz` as RFC 3339 in UTC.
///
/// Postgres holds times that no RFC 3339 text can express, and the usual conversion panics on them; here they are an
/// error. We write none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// Whole seconds since 1970.
    pub(crate) fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }
}

impl FromSql<'_> for Timestamp {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = Duration::microseconds(i64::from_be_bytes(raw.try_into()?));
        let time = datetime!(2000-01-01 0:00 UTC).checked_add(micros);
        time.filter(|time| (0..=9999).contains(&time.year()))
            .map(Self)
            .ok_or_else(|| "a time beyond the years 0 to 9999".into())
    }

    fn accepts(column: &Type) -> bool {
        *column == Type::TIMESTAMPTZ
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.format(&Rfc3339).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

/// A `bytea` as lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hex(Vec<u8>);

impl FromSql<'_> for Hex {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(column: &Type) -> bool {
        *column == Type::BYTEA
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }
}

/// A `jsonb`, selected as text, as the JSON that it is: numbers keep all their digits.
#[derive(Debug, Clone)]
pub(crate) struct Json(Box<RawValue>);

impl FromSql<'_> for Json {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(RawValue::from_string(std::str::from_utf8(raw)?.to_owned())?))
    }

    fn accepts(column: &Type) -> bool {
        *column == Type::TEXT
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(micros: i64) -> Option<String> {
        let time = Timestamp::from_sql(&Type::TIMESTAMPTZ, &micros.to_be_bytes()).ok()?;
        Some(serde_json::to_string(&time).unwrap())
    }

    #[test]
    fn times_are_rfc_3339_in_utc_or_an_error() {
        assert_eq!(timestamp(0).as_deref(), Some(r#""2000-01-01T00:00:00Z""#));
        assert_eq!(timestamp(-1).as_deref(), Some(r#""1999-12-31T23:59:59.999999Z""#));
        // Postgres's infinities, and its last time.
        for odd in [i64::MAX, i64::MIN, 9_223_371_331_199_999_999] {
            assert_eq!(timestamp(odd), None, "{odd}");
        }
    }

    #[test]
    fn digests_are_lower_case_hex() {
        let hex = Hex::from_sql(&Type::BYTEA, &[0, 0xAB, 0xFF]).unwrap();
        assert_eq!(serde_json::to_string(&hex).unwrap(), r#""00abff""#);
    }
}
