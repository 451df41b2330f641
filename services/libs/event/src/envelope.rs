use std::borrow::Cow;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Attributes, BodyDigest, EventId, EventType, Source, attributes, percent};

/// Names of the message headers.
///
/// **Invariant:** none but [`header::MSG_ID`] begins with `Nats-`; inbound HTTP headers are never copied through,
/// because the server acts on `Nats-*` headers.
pub mod header {
    /// The event id; the server deduplicates on it.
    pub const MSG_ID: &str = "Nats-Msg-Id";
    /// CloudEvents version, `1.0`.
    pub const SPECVERSION: &str = "ce-specversion";
    /// CloudEvents id: the event id.
    pub const ID: &str = "ce-id";
    /// CloudEvents source, a URI reference.
    pub const SOURCE: &str = "ce-source";
    /// CloudEvents type.
    pub const TYPE: &str = "ce-type";
    /// CloudEvents subject: what the event is about, within its source.
    pub const SUBJECT: &str = "ce-subject";
    /// When it occurred at the source.
    pub const TIME: &str = "ce-time";
    /// Content type as CloudEvents' NATS binding names it.
    pub const DATACONTENTTYPE: &str = "ce-datacontenttype";
    /// Content type as everybody else names it.
    pub const CONTENT_TYPE: &str = "content-type";
    /// W3C trace context, as the sender gave it.
    pub const TRACEPARENT: &str = "traceparent";
    /// When the gateway received it.
    pub const RECEIVED_AT: &str = "hs-received-at";
    /// SHA-256 of the payload.
    pub const BODY_SHA256: &str = "hs-body-sha256";
    /// The signature as received.
    pub const SIGNATURE: &str = "hs-signature";
    /// Id of the key that the signature matched.
    pub const KEY_ID: &str = "hs-key-id";
    /// `1` where the event id was derived from the body: it counts only within the broker's window.
    pub const ID_DERIVED: &str = "hs-id-derived";
    /// `1` where the gateway had stored the same body under another id not long before.
    pub const SUSPECTED_REPLAY: &str = "hs-suspected-replay";
    /// Prefix of the attributes.
    pub const ATTRIBUTE_PREFIX: &str = "hs-";
}

/// A header of a message: its name, which is one of ours nearly always, and its value.
pub type Header = (Cow<'static, str>, String);

/// Our metadata around the fact. Travels in message headers, as CloudEvents attributes and `hs-*` extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `<source>:<delivery id>`.
    pub id: EventId,
    /// The id was derived from the body, so it must not be remembered for longer than the broker's window.
    pub id_derived: bool,
    /// CloudEvents type.
    pub event_type: EventType,
    /// CloudEvents source, such as the URL of a repository.
    pub origin: String,
    /// CloudEvents subject, such as an issue's number.
    pub about: Option<String>,
    /// When it happened, at the source; when we received it where the source does not say.
    pub occurred_at: OffsetDateTime,
    /// When the gateway had read the whole request.
    pub received_at: OffsetDateTime,
    /// Content type of the payload, `application/json` or `application/x-www-form-urlencoded`.
    pub content_type: String,
    /// SHA-256 of the payload.
    pub body_sha256: BodyDigest,
    /// The signature header as received, so that history can be verified again.
    pub signature: String,
    /// Id of the key that matched, never the key.
    pub key_id: String,
    /// What projections use.
    pub attributes: Attributes,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The gateway had stored the same body under another id not long before. A hint: it forgets, at a restart too.
    pub suspected_replay: bool,
}

/// A stored message's headers do not make an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A header that every event has is absent.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header's value cannot be read.
    #[error("header {0} is malformed")]
    Malformed(&'static str),
}

impl Envelope {
    /// Who sent it.
    pub fn source(&self) -> &Source {
        self.id.source()
    }

    /// The headers of the message that carries this event; values hold visible ASCII only.
    pub fn to_headers(&self) -> Vec<Header> {
        let mut headers = Vec::with_capacity(24);
        let mut push = |name: &'static str, value: &str| headers.push((name.into(), percent::encode(value)));
        push(header::MSG_ID, self.id.as_str());
        push(header::SPECVERSION, "1.0");
        push(header::ID, self.id.as_str());
        push(header::SOURCE, &self.origin);
        push(header::TYPE, self.event_type.as_str());
        if let Some(about) = &self.about {
            push(header::SUBJECT, about);
        }
        push(header::TIME, &rfc3339(self.occurred_at));
        push(header::DATACONTENTTYPE, &self.content_type);
        push(header::CONTENT_TYPE, &self.content_type);
        push(header::RECEIVED_AT, &rfc3339(self.received_at));
        push(header::BODY_SHA256, &self.body_sha256.to_string());
        push(header::SIGNATURE, &self.signature);
        push(header::KEY_ID, &self.key_id);
        if self.id_derived {
            push(header::ID_DERIVED, "1");
        }
        if self.suspected_replay {
            push(header::SUSPECTED_REPLAY, "1");
        }
        if let Some(traceparent) = &self.traceparent {
            push(header::TRACEPARENT, traceparent);
        }
        for (name, value) in self.attributes.iter() {
            headers.push((attributes::header(name), percent::encode(value)));
        }
        headers
    }

    /// Reads the headers of a stored message, in any order; unknown ones are passed over.
    pub fn from_headers<'h>(
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    ) -> Result<Self, EnvelopeError> {
        let mut read = Headers::default();
        for (name, value) in headers {
            read.take(name, &percent::decode(value));
        }
        read.finish()
    }
}

fn rfc3339(time: OffsetDateTime) -> String {
    // Fails only for years outside 0..=9999, which no parser of ours lets in.
    time.format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

#[derive(Default)]
struct Headers {
    /// The values of [`FIELDS`].
    known: [Option<String>; FIELDS.len()],
    attributes: Attributes,
}

/// Headers that are fields of the envelope; the other `hs-*` are attributes.
const FIELDS: [&str; 13] = [
    header::ID,
    header::SOURCE,
    header::TYPE,
    header::SUBJECT,
    header::TIME,
    header::CONTENT_TYPE,
    header::TRACEPARENT,
    header::RECEIVED_AT,
    header::BODY_SHA256,
    header::SIGNATURE,
    header::KEY_ID,
    header::ID_DERIVED,
    header::SUSPECTED_REPLAY,
];

impl Headers {
    /// Of a field that comes twice, the first counts.
    fn take(&mut self, name: &str, value: &str) {
        if let Some(place) = FIELDS.iter().position(|field| field.eq_ignore_ascii_case(name)) {
            self.known[place].get_or_insert_with(|| value.to_owned());
        } else if let Some(attribute) = name.strip_prefix(header::ATTRIBUTE_PREFIX) {
            self.attributes.set(attribute, value);
        }
    }

    fn optional(&mut self, name: &str) -> Option<String> {
        let place = FIELDS.iter().position(|field| *field == name)?;
        self.known[place].take()
    }

    fn finish(mut self) -> Result<Envelope, EnvelopeError> {
        Ok(Envelope {
            id: EventId::parse(&self.required(header::ID)?)
                .map_err(|_| EnvelopeError::Malformed(header::ID))?,
            id_derived: self.optional(header::ID_DERIVED).is_some(),
            suspected_replay: self.optional(header::SUSPECTED_REPLAY).is_some(),
            event_type: EventType::parse(&self.required(header::TYPE)?)
                .ok_or(EnvelopeError::Malformed(header::TYPE))?,
            origin: self.required(header::SOURCE)?,
            about: self.optional(header::SUBJECT),
            occurred_at: self.time(header::TIME)?,
            received_at: self.time(header::RECEIVED_AT)?,
            content_type: self.required(header::CONTENT_TYPE)?,
            body_sha256: BodyDigest::from_hex(&self.required(header::BODY_SHA256)?)
                .ok_or(EnvelopeError::Malformed(header::BODY_SHA256))?,
            signature: self.required(header::SIGNATURE)?,
            key_id: self.required(header::KEY_ID)?,
            traceparent: self.optional(header::TRACEPARENT),
            attributes: self.attributes,
        })
    }

    /// The value of a header, without U+0000, which Postgres refuses in a text.
    fn required(&mut self, name: &'static str) -> Result<String, EnvelopeError> {
        let value = self.optional(name).ok_or(EnvelopeError::Missing(name))?;
        if value.contains('\0') { Err(EnvelopeError::Malformed(name)) } else { Ok(value) }
    }

    fn time(&mut self, name: &'static str) -> Result<OffsetDateTime, EnvelopeError> {
        OffsetDateTime::parse(&self.required(name)?, &Rfc3339).map_err(|_| EnvelopeError::Malformed(name))
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::{Token, attribute};

    fn envelope() -> Envelope {
        let mut attributes = Attributes::default();
        attributes.set(attribute::REPOSITORY, "octo-org/octo-repo");
        attributes.set(attribute::LOG_MESSAGE, "grüße, 100 %\r\nNats-Rollup: all");
        Envelope {
            id: EventId::parse("github:d-1").unwrap(),
            id_derived: true,
            event_type: EventType::join("com.github", [&Token::lossy("issues"), &Token::lossy("opened")]),
            origin: "https://api.github.com/repos/octo-org/octo-repo".to_owned(),
            about: Some("42".to_owned()),
            occurred_at: datetime!(2026-11-23 10:00 UTC),
            received_at: datetime!(2026-11-23 10:00:01.25 UTC),
            content_type: "application/json".to_owned(),
            body_sha256: BodyDigest::of(b"{}"),
            signature: "sha256=00".to_owned(),
            key_id: "current".to_owned(),
            attributes,
            traceparent: None,
            suspected_replay: true,
        }
    }

    #[test]
    fn headers_round_trip_and_cannot_smuggle_another_header() {
        let headers = envelope().to_headers();
        for (name, value) in &headers {
            assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{name}: {value}");
        }
        let read = Envelope::from_headers(headers.iter().map(|(n, v)| (&**n, v.as_str())));
        assert_eq!(read, Ok(envelope()));
    }

    #[test]
    fn only_a_suspected_replay_says_so() {
        let of = |envelope: &Envelope| {
            let headers = envelope.to_headers();
            let says_so = headers.contains(&(header::SUSPECTED_REPLAY.into(), "1".to_owned()));
            let read = Envelope::from_headers(headers.iter().map(|(n, v)| (&**n, v.as_str()))).unwrap();
            assert_eq!(read, *envelope);
            says_so
        };
        assert!(of(&envelope()));
        assert!(!of(&Envelope { suspected_replay: false, ..envelope() }));
    }

    #[test]
    fn each_missing_header_is_named() {
        let headers = envelope().to_headers();
        let without = |gone: &str| {
            Envelope::from_headers(
                headers.iter().filter(|(name, _)| name != gone).map(|(n, v)| (&**n, v.as_str())),
            )
        };
        for name in [header::ID, header::SOURCE, header::TYPE, header::TIME, header::RECEIVED_AT] {
            assert_eq!(without(name), Err(EnvelopeError::Missing(name)));
        }
        assert!(without(header::SUBJECT).unwrap().about.is_none());
    }
}
