use std::time::Duration;

use hookstream_event::{
    ATTRIBUTE_BYTES_MAX, BodyDigest, Description, Envelope, EventId, EventType, InvalidBody, Subject,
};
use time::OffsetDateTime;
use time::macros::datetime;

/// When everything here was received.
pub(crate) const RECEIVED_AT: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

/// Most bytes of headers that the server stores with a message.
const HEADER_BYTES_MAX: usize = 65_535;

/// What subjects, headers, log lines and columns need of an event, whoever wrote its body.
pub(crate) fn assert_storable(description: &Description, id: &EventId, body: &[u8]) {
    let subject = &description.subject;
    let tokens = [&subject.source, &subject.event, &subject.action];
    for token in tokens.map(hookstream_event::Token::as_str) {
        let clean = token.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        assert!(clean && (1..=64).contains(&token.len()), "{token:?} is no token of a subject");
    }
    assert_eq!(Subject::parse_stored(&subject.stored()).as_ref(), Some(subject));
    assert!(EventType::parse(description.event_type.as_str()).is_some(), "{}", description.event_type);
    assert!(
        (1..=9999).contains(&description.occurred_at.year()) && description.occurred_at.offset().is_utc()
    );
    for (name, value) in description.attributes.iter() {
        assert!(value.len() <= ATTRIBUTE_BYTES_MAX && !value.contains('\0'), "{name}: {value:?}");
    }

    let envelope = Envelope {
        id: id.clone(),
        id_derived: true,
        event_type: description.event_type.clone(),
        origin: description.origin.clone(),
        about: description.about.clone(),
        occurred_at: description.occurred_at,
        received_at: RECEIVED_AT + Duration::from_millis(125),
        content_type: "application/json".to_owned(),
        body_sha256: BodyDigest::of(body),
        signature: "s".repeat(2048),
        key_id: "k".repeat(64),
        attributes: description.attributes.clone(),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        suspected_replay: true,
    };
    let headers = envelope.to_headers();
    let mut bytes = 0;
    for (name, value) in &headers {
        assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{name}: {value:?} is not visible ASCII");
        bytes += name.len() + value.len() + ": \r\n".len();
    }
    assert!(bytes <= HEADER_BYTES_MAX - 1024, "{bytes} bytes of headers");
    let read = Envelope::from_headers(headers.iter().map(|(name, value)| (&**name, value.as_str())));
    assert_eq!(read.as_ref(), Ok(&envelope), "the headers say something else");
}

/// What the caller is told: one of the codes, in a short line, which is plain whatever the body held.
pub(crate) fn assert_tellable(error: &InvalidBody) {
    let codes = ["invalid_body", "event_mismatch", "invalid_event"];
    assert!(codes.contains(&error.code()), "{}", error.code());
    let shown = error.to_string();
    assert!((1..=300).contains(&shown.len()), "{shown}");
    assert!(shown.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{shown:?}");
}
