//! Acts that touch history become entries, one each. Pure.

use hookstream_bus::Operation;
use hookstream_event::Token;
use hookstream_trail::entry::DETAILS_BYTES_MAX;
use hookstream_trail::{Micros, Record, kind};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::refusals::Place;

/// The stream of acts.
pub(crate) const OPERATIONS: &str = "OPERATIONS";

/// The entry of a message of the stream of acts.
pub(crate) fn record(subject: &str, payload: &[u8], place: Place) -> Record {
    match Operation::read(subject, payload) {
        Some(told) => entry(OPERATIONS, &told.act, Some(&told.role), told.at, &told.details, place),
        // Somebody else than our own processes wrote it. Recorded, so that it is seen.
        None => unreadable(subject, place),
    }
}

/// The entry that says that messages of `stream` are gone which were never recorded.
pub(crate) fn messages_missing(stream: &str, first: u64, last: u64, place: Place) -> Record {
    let details = [("first_missing", first.into()), ("last_missing", last.into())];
    of_our_own(stream, "messages_missing", details, place)
}

/// The entry that says that `stream` is another one: `recorded` of it was, `last` is its last message now.
pub(crate) fn stream_changed(stream: &str, recorded: u64, last: u64, why: &str, place: Place) -> Record {
    let details = [("last_recorded", recorded.into()), ("last", last.into()), ("why", why.into())];
    of_our_own(stream, "stream_changed", details, place)
}

fn of_our_own<const N: usize>(stream: &str, act: &str, details: [(&str, Value); N], place: Place) -> Record {
    let details = Map::from_iter(details.map(|(name, value)| (name.to_owned(), value)));
    entry(stream, act, Some("audit"), place.recorded_at, &details, place)
}

fn unreadable(subject: &str, place: Place) -> Record {
    let tokens: Vec<String> =
        subject.split('.').map(|token| Token::lossy(token).as_str().to_owned()).collect();
    let details = Map::from_iter([("subject".to_owned(), tokens.join(".").into())]);
    entry(OPERATIONS, "unreadable", None, place.recorded_at, &details, place)
}

fn entry(
    stream: &str,
    act: &str,
    role: Option<&str>,
    at: OffsetDateTime,
    details: &Map<String, Value>,
    place: Place,
) -> Record {
    let token = |name: &str| details.get(name)?.as_str().map(|text| Token::lossy(text).as_str().to_owned());
    // Ids of keys have upper-case letters, too.
    let key_id =
        details.get("key_id").and_then(Value::as_str).filter(|id| id.len() <= 64 && !id.contains('\0'));
    let text = Value::Object(details.clone()).to_string();
    let details = if text.len() <= DETAILS_BYTES_MAX {
        text
    } else {
        json!({ "omitted_bytes": text.len() }).to_string()
    };
    Record {
        kind: kind::OPERATION.to_owned(),
        stream: Some(stream.to_owned()),
        stream_sequence: Some(i64::try_from(place.stream_sequence).unwrap_or(i64::MAX)),
        event_id: None,
        source: token("source"),
        event_type: Some(Token::lossy(act).as_str().to_owned()),
        body_sha256: None,
        signature: None,
        key_id: key_id.map(str::to_owned),
        actor: role.map(|role| Token::lossy(role).as_str().to_owned()),
        count: 1,
        details,
        received_at: Micros::of(at),
        recorded_at: Micros::of(place.recorded_at),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const PLACE: Place = Place { stream_sequence: 7, recorded_at: datetime!(2026-11-25 12:00:01 UTC) };

    fn payload(details: &Value) -> Vec<u8> {
        json!({ "at": "2026-11-25T12:00:00Z", "details": details }).to_string().into_bytes()
    }

    #[test]
    fn an_act_is_an_entry_with_who_what_and_when() {
        let details = json!({ "source": "github", "key_id": "Next_1", "why": "expired" });
        let record = record("operations.gateway.key_retired", &payload(&details), PLACE);
        assert_eq!((record.kind.as_str(), record.event_type.as_deref()), ("operation", Some("key_retired")));
        assert_eq!((record.actor.as_deref(), record.source.as_deref()), (Some("gateway"), Some("github")));
        assert_eq!((record.key_id.as_deref(), record.stream_sequence), (Some("Next_1"), Some(7)));
        assert_eq!(record.details, details.to_string());
        assert_eq!(record.received_at, Micros::of(datetime!(2026-11-25 12:00 UTC)));
        assert_eq!(record.recorded_at, Micros::of(PLACE.recorded_at));
    }

    #[test]
    fn whatever_is_in_the_stream_becomes_an_entry_that_fits() {
        let long =
            payload(&json!({ "text": "x".repeat(10_000), "key_id": "x".repeat(65), "source": "\u{0}" }));
        for (subject, payload) in [
            ("operations.operator.rebuild", &long[..]),
            ("operations.operator.rebuild", b"\xff"),
            ("operations.\u{7}.rebuild", b"{}"),
        ] {
            let record = record(subject, payload, PLACE);
            assert!(
                record.details.len() <= DETAILS_BYTES_MAX && !record.details.contains('\0'),
                "{record:?}"
            );
            assert!(record.source.is_none_or(|source| !source.contains('\0')));
            assert_eq!(record.key_id, None);
        }
    }
}
