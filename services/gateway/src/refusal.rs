use std::borrow::Cow;
use std::time::Duration;

use hookstream_bus::PublishError;
use hookstream_event::InvalidBody;
use hookstream_signature::VerifyError;
use hyper::StatusCode;

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// Requests of one client.
    Requests,
    /// Verified webhooks of one source.
    OfSource,
    /// Bad signatures of one client.
    BadSignatures,
}

/// Why a webhook was not stored. One place says, for each, the status, what the caller is told and what we are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No source listens at this path.
    UnknownPath,
    /// The endpoint takes POST only.
    Method,
    /// Too many of these lately; how long until the next may come.
    TooMany(TooMany, Duration),
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// The body took too long, or came too slowly.
    SlowBody,
    /// The body ended early, or its chunks are malformed.
    BrokenBody,
    /// All bodies in hand together are too large.
    Overloaded,
    /// The body is compressed.
    ContentEncoding,
    /// The body is not of a type that the endpoint takes; these it takes.
    ContentType(&'static str),
    /// Not genuine.
    Signature(VerifyError),
    /// A header is missing or malformed; its name and the rule.
    Header(&'static str, &'static str),
    /// The body makes no event.
    Body(InvalidBody),
    /// The same body was stored under another id not long before.
    Replay,
    /// The same body is being stored under another id, which may fail.
    ReplayInHand,
    /// The stream did not take it, or not in time.
    NotStored(PublishError),
}

impl Refusal {
    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) | Self::NotStored(PublishError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany(..) => StatusCode::TOO_MANY_REQUESTS,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::ContentEncoding | Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::BrokenBody | Self::Header(..) | Self::Body(_) | Self::Replay => StatusCode::BAD_REQUEST,
            Self::Overloaded | Self::ReplayInHand | Self::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code in the answer; stable, for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::UnknownPath => "not_found",
            Self::Method => "method_not_allowed",
            Self::TooLarge(_) | Self::NotStored(PublishError::TooLarge) => "body_too_large",
            Self::TooMany(..) => "rate_limited",
            Self::SlowBody => "body_too_slow",
            Self::BrokenBody => "body_incomplete",
            Self::ContentEncoding => "unsupported_content_encoding",
            Self::ContentType(_) => "unsupported_content_type",
            Self::Signature(_) => "unauthorized",
            Self::Header(..) => "invalid_header",
            Self::Body(invalid) => invalid.code(),
            Self::Replay => "suspected_replay",
            Self::Overloaded | Self::ReplayInHand | Self::NotStored(_) => "not_stored",
        }
    }

    /// The sentence in the answer; for the people at the sender. Says the same for every bad signature, and nothing of
    /// our insides.
    pub(crate) fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::UnknownPath => "no source listens at this path".into(),
            Self::Method => "webhooks are posted".into(),
            Self::TooLarge(max) => format!("the body exceeds {max} bytes").into(),
            Self::NotStored(PublishError::TooLarge) => "the event is too large to be stored".into(),
            Self::TooMany(TooMany::Requests, _) => "too many requests from this address".into(),
            Self::TooMany(TooMany::OfSource, _) => "too many webhooks of this source".into(),
            Self::TooMany(TooMany::BadSignatures, _) => "too many bad signatures from this address".into(),
            Self::SlowBody => "the body came too slowly".into(),
            Self::BrokenBody => "the body is incomplete or its chunks are malformed".into(),
            Self::ContentEncoding => "only uncompressed bodies are taken".into(),
            Self::ContentType(taken) => format!("the content type must be {taken}").into(),
            Self::Signature(_) => "the signature is missing or not valid".into(),
            Self::Header(name, rule) => format!("header {name} {rule}").into(),
            Self::Body(invalid) => invalid.to_string().into(),
            Self::Replay => "the same body was stored before, under another delivery id".into(),
            Self::Overloaded | Self::ReplayInHand | Self::NotStored(_) => {
                "the event was not stored; send it again later".into()
            }
        }
    }

    /// A short name for logs and metrics, which may tell apart what the caller may not.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Signature(error) => error.code(),
            Self::NotStored(error) => error.code(),
            Self::TooMany(TooMany::Requests, _) => "client_rate_limited",
            Self::TooMany(TooMany::OfSource, _) => "source_rate_limited",
            Self::TooMany(TooMany::BadSignatures, _) => "signature_rate_limited",
            Self::Overloaded => "overloaded",
            Self::ReplayInHand => "replay_in_hand",
            other => other.code(),
        }
    }

    /// After how many seconds to try again, where that may help.
    pub(crate) fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::NotStored(PublishError::TooLarge) => None,
            // Room comes from retention or an operator, neither of which is quick.
            Self::NotStored(PublishError::Full(_)) => Some(60),
            // Whole seconds, and never none.
            Self::TooMany(_, wait) => {
                Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1))
            }
            Self::NotStored(_) | Self::Overloaded | Self::ReplayInHand => Some(5),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_signature_looks_the_same_to_the_caller_and_differs_in_the_log() {
        let all = [
            VerifyError::Missing,
            VerifyError::Malformed,
            VerifyError::Mismatch,
            VerifyError::Expired,
            VerifyError::Stale,
        ]
        .map(Refusal::Signature);
        for refusal in &all {
            assert_eq!(refusal.status(), 401);
            assert_eq!((refusal.code(), refusal.detail()), (all[0].code(), all[0].detail()));
        }
        let reasons: std::collections::BTreeSet<_> = all.iter().map(Refusal::reason).collect();
        assert_eq!(reasons.len(), all.len());
    }

    #[test]
    fn an_answer_that_blames_us_tells_nothing_of_our_insides() {
        for error in
            [PublishError::Refused("user gateway at 10.0.0.7".into()), PublishError::Full("disk /var".into())]
        {
            let refusal = Refusal::NotStored(error);
            assert_eq!(refusal.status(), 503);
            assert_eq!(refusal.detail(), "the event was not stored; send it again later");
            assert!(refusal.retry_after_seconds().is_some());
        }
    }
}
