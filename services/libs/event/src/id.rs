use std::fmt;

use crate::{Token, TokenError};

/// Who sends us webhooks; has a secret and a signature scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(Token);

impl Source {
    /// GitHub's webhooks.
    pub fn github() -> Self {
        Self(Token::lossy("github"))
    }

    /// The team's own webhooks.
    pub fn internal() -> Self {
        Self(Token::lossy("internal"))
    }

    /// A source by its configured name.
    pub fn parse(name: &str) -> Result<Self, TokenError> {
        Token::parse(name).map(Self)
    }

    /// The name as a subject token.
    pub fn token(&self) -> &Token {
        &self.0
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `<source>:<delivery id>`: names one event for ever, and is its `Nats-Msg-Id`.
///
/// The broker's deduplication is per stream, not per subject, hence the source in front.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    text: String,
    source: Source,
}

/// The delivery id, or the whole event id, is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters of A-Z, a-z, 0-9, '_' and '-'")]
pub struct EventIdError;

impl EventId {
    /// Longest delivery id, in bytes. GitHub's are 36.
    pub const DELIVERY_BYTES_MAX: usize = 128;

    /// Joins a source and the id that it gave the delivery, which must be `[A-Za-z0-9_-]{1,128}`.
    pub fn new(source: &Source, delivery_id: &str) -> Result<Self, EventIdError> {
        let fits = (1..=Self::DELIVERY_BYTES_MAX).contains(&delivery_id.len());
        let clean = delivery_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !fits || !clean {
            return Err(EventIdError);
        }
        Ok(Self { text: format!("{source}:{delivery_id}"), source: source.clone() })
    }

    /// Reads `<source>:<delivery id>`.
    pub fn parse(text: &str) -> Result<Self, EventIdError> {
        let (source, delivery_id) = text.split_once(':').ok_or(EventIdError)?;
        Self::new(&Source::parse(source).map_err(|_| EventIdError)?, delivery_id)
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The source in front of the colon.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The id behind the colon.
    pub fn delivery_id(&self) -> &str {
        &self.text[self.source.as_str().len() + 1..]
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_know_their_parts() {
        let id = EventId::new(&Source::github(), "72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap();
        assert_eq!(id.as_str(), "github:72d3162e-cc78-11e3-81ab-4c9367dc0958");
        assert_eq!(id.delivery_id(), "72d3162e-cc78-11e3-81ab-4c9367dc0958");
        assert_eq!(EventId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn delivery_ids_that_could_do_harm_are_refused() {
        for wrong in ["", "a.b", "*", ">", "a b", "a\r\nNats-Rollup: all", "é", "a:b", &"a".repeat(129)] {
            assert_eq!(EventId::new(&Source::internal(), wrong), Err(EventIdError), "{wrong:?}");
        }
    }
}
