use std::fmt;

/// One token of a subject: `[a-z0-9_-]{1,64}`, so it can hold neither a separator nor a wildcard.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(String);

/// The text is not `[a-z0-9_-]{1,64}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 characters of a-z, 0-9, '_' and '-'")]
pub struct TokenError;

impl Token {
    /// Longest token, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Takes `text` as it is, or refuses it.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let fits = (1..=Self::BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(is_token_byte) { Ok(Self(text.to_owned())) } else { Err(TokenError) }
    }

    /// Makes a token of any text: lower-cases ASCII, replaces what a token cannot hold by `_`, cuts at 64 bytes.
    /// For values that a verified body may choose freely, such as the action of a `repository_dispatch`.
    pub fn lossy(text: &str) -> Self {
        let token: String = text
            .chars()
            .take(Self::BYTES_MAX)
            .map(|c| c.to_ascii_lowercase())
            .map(|c| if c.is_ascii() && is_token_byte(c as u8) { c } else { '_' })
            .collect();
        if token.is_empty() { Self("none".to_owned()) } else { Self(token) }
    }

    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of an event: source, event and action.
///
/// The gateway publishes on [`Subject::ingest`]; the stream stores the event as [`Subject::stored`], which is what
/// durable consumers filter on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Who sent it: `github`, `internal`, …
    pub source: Token,
    /// The event's name at the source: `issues`, `workflow`, …
    pub event: Token,
    /// What happened to it: `opened`, `completed`; `none` where the source names no action.
    pub action: Token,
}

impl Subject {
    /// `ingest.<source>.<event>.<action>`, private to the gateways and the stream.
    pub fn ingest(&self) -> String {
        format!("ingest.{}.{}.{}", self.source, self.event, self.action)
    }

    /// `webhooks.<source>.<event>.<action>`, as stored.
    pub fn stored(&self) -> String {
        format!("webhooks.{}.{}.{}", self.source, self.event, self.action)
    }

    /// Reads a stored subject; `None` if it has another shape.
    pub fn parse_stored(text: &str) -> Option<Self> {
        let mut tokens = text.split('.');
        if tokens.next() != Some("webhooks") {
            return None;
        }
        let mut next = || tokens.next().and_then(|token| Token::parse(token).ok());
        let subject = Self { source: next()?, event: next()?, action: next()? };
        tokens.next().is_none().then_some(subject)
    }
}

/// A CloudEvents `type`, such as `com.github.issues.opened` or `hookstream.workflow.completed`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(String);

impl EventType {
    /// Prefix of the types of internal events.
    pub const INTERNAL_PREFIX: &'static str = "hookstream.";

    /// Joins `prefix` (for example `com.github`) and the tokens that follow it with dots.
    pub fn join<'t>(prefix: &str, tokens: impl IntoIterator<Item = &'t Token>) -> Self {
        let mut text = prefix.to_owned();
        for token in tokens {
            text.push('.');
            text.push_str(token.as_str());
        }
        Self(text)
    }

    /// Takes a type from a stored message. Any visible ASCII text of up to 256 bytes is one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=256).contains(&text.len());
        (fits && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// The type's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The internal name (`workflow.completed`) if this is the type of an internal event.
    pub fn internal_name(&self) -> Option<&str> {
        self.0.strip_prefix(Self::INTERNAL_PREFIX)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_no_separator_wildcard_or_upper_case() {
        assert!(Token::parse("pull_request-2").is_ok());
        for wrong in ["", "a.b", "*", ">", "a b", "Issues", "é", "a\n", &"a".repeat(65)] {
            assert_eq!(Token::parse(wrong), Err(TokenError), "{wrong:?}");
        }
    }

    #[test]
    fn lossy_tokens_always_parse() {
        for text in ["", "Deploy.Prod", "*", "é".repeat(80).as_str(), "on-demand-test"] {
            let token = Token::lossy(text);
            assert_eq!(Token::parse(token.as_str()), Ok(token.clone()), "{text:?}");
        }
        assert_eq!(Token::lossy("Deploy.Prod").as_str(), "deploy_prod");
    }

    #[test]
    fn stored_subjects_round_trip() {
        let subject = Subject {
            source: Token::lossy("internal"),
            event: Token::lossy("workflow"),
            action: Token::lossy("completed"),
        };
        assert_eq!(subject.ingest(), "ingest.internal.workflow.completed");
        assert_eq!(Subject::parse_stored(&subject.stored()), Some(subject));
        for wrong in ["webhooks.a.b", "webhooks.a.b.c.d", "ingest.a.b.c", "webhooks.a.*.c", ""] {
            assert_eq!(Subject::parse_stored(wrong), None, "{wrong}");
        }
    }
}
