//! What is told of refusals: JSON without a body, a signature or a secret.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use hookstream_event::Token;
use hookstream_runtime::http;
use hyper::HeaderMap;
use serde::Serialize;
use time::OffsetDateTime;

use super::sampler::{Key, Rest};

/// The headers that are told, and no others: they say which delivery it was, and none is a secret.
const HEADERS: [&str; 5] =
    ["content-type", "content-length", "x-github-event", "x-github-delivery", "webhook-id"];

/// Refusals of one kind: one of them by itself, or a number of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    source: String,
    reason: &'static str,
    /// Status of the answer.
    status: u16,
    /// How many refusals this stands for. The sum over all records is how many there were.
    count: u64,
    /// Whether this stands for refusals that were not told one by one.
    sampled: bool,
    /// The client; for a number of refusals over IPv6, its /64. Absent where they came from many.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    /// When the request was refused, or when the number was taken.
    #[serde(with = "time::serde::rfc3339")]
    received_at: OffsetDateTime,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    request: Option<RefusedRequest>,
}

/// What is told of a single request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RefusedRequest {
    pub(crate) request_id: String,
    pub(crate) headers: BTreeMap<&'static str, String>,
    /// SHA-256 of the body, where all of it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_bytes: Option<usize>,
}

impl Record {
    pub(crate) fn of_one(
        key: &Key,
        address: Option<IpAddr>,
        at: OffsetDateTime,
        request: RefusedRequest,
    ) -> Self {
        let (source, reason, status) = (key.source.clone(), key.reason, key.status);
        let request = Some(request);
        Self { source, reason, status, count: 1, sampled: false, address, received_at: at, request }
    }

    pub(crate) fn of_many(rest: Rest, at: OffsetDateTime) -> Self {
        let Key { source, reason, status, client } = rest.key;
        let (count, address) = (rest.count, client);
        Self { source, reason, status, count, sampled: true, address, received_at: at, request: None }
    }

    /// What it is counted under, and how many it stands for.
    pub(crate) fn tally(&self) -> (Key, u64) {
        let client = self.address.map(http::network);
        (Key { source: self.source.clone(), reason: self.reason, status: self.status, client }, self.count)
    }

    /// `rejections.<source>.<reason>`.
    pub(crate) fn subject(&self) -> String {
        format!("rejections.{}.{}", Token::lossy(&self.source), Token::lossy(self.reason))
    }

    pub(crate) fn payload(&self) -> Bytes {
        serde_json::to_vec(self).expect("texts and numbers are JSON").into()
    }
}

/// What is told of a request's headers: those of the list, once each, without anything that a terminal or a log
/// would act on.
pub(crate) fn headers(headers: &HeaderMap) -> BTreeMap<&'static str, String> {
    let told = HEADERS.iter().filter_map(|name| Some((*name, plain(headers.get(*name)?.as_bytes()))));
    told.collect()
}

/// The start of a header's value; what is not plain becomes `?`.
fn plain(value: &[u8]) -> String {
    const BYTES_MAX: usize = 128;
    let plain = |byte: &u8| {
        if byte.is_ascii_alphanumeric() || b"-_.:/;=+ ".contains(byte) { char::from(*byte) } else { '?' }
    };
    value.iter().take(BYTES_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn key(source: &str) -> Key {
        Key { source: source.to_owned(), reason: "signature_mismatch", status: 401, client: None }
    }

    #[test]
    fn only_headers_of_the_list_are_told_and_none_can_write_into_a_log() {
        let mut given = HeaderMap::new();
        for name in ["authorization", "cookie", "x-hub-signature-256", "webhook-signature", "x-gitlab-token"]
        {
            given.insert(name, HeaderValue::from_static("canary"));
        }
        given.insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
        given.insert("x-github-delivery", HeaderValue::from_bytes(b"a[31m\"<b>\xff").unwrap());
        given.insert("x-github-event", HeaderValue::from_str(&"x".repeat(1000)).unwrap());
        let told = headers(&given);
        assert_eq!(told["content-type"], "application/json; charset=utf-8");
        assert_eq!(told["x-github-event"].len(), 128);
        assert!(told["x-github-delivery"].bytes().all(|byte| byte.is_ascii_graphic()), "{told:?}");
        assert!(!told["x-github-delivery"].contains(['<', '"', '[']), "{told:?}");
        assert_eq!(told.len(), 3, "{told:?}");
    }

    #[test]
    fn subjects_are_of_three_tokens_whatever_the_source_is_called() {
        let at = OffsetDateTime::UNIX_EPOCH;
        for (source, subject) in [
            ("github", "rejections.github.signature_mismatch"),
            ("a.b >", "rejections.a_b__.signature_mismatch"),
        ] {
            let record = Record::of_many(Rest { key: key(source), count: 7 }, at);
            assert_eq!(record.subject(), subject);
        }
    }

    #[test]
    fn a_number_of_refusals_is_told_as_such() {
        let record = Record::of_many(Rest { key: key("github"), count: 7 }, OffsetDateTime::UNIX_EPOCH);
        let text = r#"{"source":"github","reason":"signature_mismatch","status":401,"count":7,"sampled":true,"received_at":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(record.payload(), text);
    }
}
