//! Appending to a stream: one message, or an atomic batch of them, and what the acks say.

use std::time::Duration;

use async_nats::header::{self, HeaderValue};
use async_nats::{HeaderMap, Request, RequestErrorKind, StatusCode};
use serde::Deserialize;

use crate::api::ApiError;
use crate::outgoing::Outgoing;
use crate::{Bus, PublishError, Receipt};

/// How long to wait before asking again after an answer that says "not now, nothing was stored".
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// How often to ask again. Go's client does the same for a stream without a leader.
const RETRIES_MAX: u32 = 2;

/// The stream takes no atomic batches. (nats-io/nats-server, server/errors.json)
const BATCHES_DISABLED: u64 = 10174;

/// Of a batch, so many are made ready before they are handed to the client, which then sends them with one write: one
/// by one, each would wake it up, and all of them would keep the server waiting.
const SENT_AT_ONCE: usize = 16;

/// Why an atomic batch was not stored. Nothing of it was, unless the answer is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BatchError {
    /// The stream, or the server, knows no atomic batches.
    Unsupported,
    /// The connection was lost.
    Disconnected,
    /// One of its ids is known, the server is busy, or whatever else: each message alone finds out.
    Refused(String),
}

impl Bus {
    /// Stores one message; what may pass within moves is tried again. The caller bounds the time.
    pub(crate) async fn append(&self, message: &Outgoing) -> Result<Receipt, PublishError> {
        let mut retries = 0;
        loop {
            let losses = self.losses();
            if !self.is_connected() {
                return Err(PublishError::Disconnected);
            }
            let result = tokio::select! {
                result = self.append_once(message) => result,
                // The answer was lost with the connection.
                () = losses.next() => return Err(PublishError::Disconnected),
            };
            match result {
                Ok(receipt) => return Ok(receipt),
                Err(failure) if failure.passing && retries < RETRIES_MAX => {
                    retries += 1;
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                Err(failure) => return Err(failure.error),
            }
        }
    }

    async fn append_once(&self, message: &Outgoing) -> Result<Receipt, Failure> {
        let request = Request::new()
            .headers(message.header_map())
            .payload(message.payload.clone())
            // The budget bounds it.
            .timeout(None);
        let reply = self.client.send_request(message.subject.clone(), request).await;
        let reply = reply.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => Failure::passing(PublishError::NoStream),
            RequestErrorKind::MaxPayloadExceeded => Failure::last(PublishError::TooLarge),
            RequestErrorKind::TimedOut => Failure::last(PublishError::TimedOut),
            _ if !self.is_connected() => Failure::last(PublishError::Disconnected),
            _ => Failure::last(PublishError::Refused(error.to_string())),
        })?;
        read_ack(&reply)
    }

    /// Stores all messages or none, with one fsync, and returns the sequence of the last; the others precede it without
    /// a gap. The caller bounds the time. (nats-io/nats-architecture-and-design, adr/ADR-50.md)
    pub(crate) async fn append_batch(&self, messages: &[&Outgoing]) -> Result<Receipt, BatchError> {
        let losses = self.losses();
        if !self.is_connected() {
            return Err(BatchError::Disconnected);
        }
        let reply = tokio::select! {
            reply = self.send_batch(messages) => reply.map_err(BatchError::Refused)?,
            () = losses.next() => return Err(BatchError::Disconnected),
        };
        let ack: BatchAck = serde_json::from_slice(&reply.payload)
            .map_err(|_| BatchError::Refused("the stream's ack is unreadable".to_owned()))?;
        match (ack.error, ack.receipt) {
            (Some(error), _) if error.err_code == BATCHES_DISABLED => Err(BatchError::Unsupported),
            (Some(error), _) => Err(BatchError::Refused(error.description)),
            (None, Some(receipt)) if ack.count == Some(messages.len()) => Ok(receipt),
            // A server that knows no batches has stored each message by itself.
            _ => Err(BatchError::Unsupported),
        }
    }

    async fn send_batch(&self, messages: &[&Outgoing]) -> Result<async_nats::Message, String> {
        let inbox = self.client.new_inbox();
        // Unique, and within the server's 64 characters.
        let id = HeaderValue::from(inbox.rsplit('.').next().unwrap_or(&inbox));
        let (last, others) = messages.split_last().ok_or("an empty batch")?;
        let headers = |message: &Outgoing, position: usize| {
            let mut headers = message.header_map();
            headers.insert(header::NATS_BATCH_ID, id.clone());
            headers.insert(header::NATS_BATCH_SEQUENCE, HeaderValue::from(position));
            headers
        };
        for (chunk, first) in others.chunks(SENT_AT_ONCE).zip((1..).step_by(SENT_AT_ONCE)) {
            let ready: Vec<HeaderMap> =
                chunk.iter().zip(first..).map(|(message, position)| headers(message, position)).collect();
            for (message, headers) in chunk.iter().zip(ready) {
                let (subject, payload) = (message.subject.clone(), message.payload.clone());
                let sent = self.client.publish_with_headers(subject, headers, payload).await;
                sent.map_err(|error| error.to_string())?;
            }
        }
        let mut commit = headers(last, messages.len());
        commit.insert(header::NATS_BATCH_COMMIT, HeaderValue::from(header::NATS_BATCH_COMMIT_FINAL));
        let request = Request::new().headers(commit).payload(last.payload.clone()).timeout(None);
        let reply = self.client.send_request(last.subject.clone(), request).await;
        reply.map_err(|error| error.to_string())
    }
}

#[derive(Deserialize)]
struct BatchAck {
    error: Option<ApiError>,
    #[serde(flatten)]
    receipt: Option<Receipt>,
    /// How many messages were stored; absent from the ack of a single message.
    count: Option<usize>,
}

/// An attempt failed; `passing` if nothing was stored and another attempt may do.
struct Failure {
    error: PublishError,
    passing: bool,
}

impl Failure {
    fn last(error: PublishError) -> Self {
        Self { error, passing: false }
    }

    fn passing(error: PublishError) -> Self {
        Self { error, passing: true }
    }
}

#[derive(Deserialize)]
struct Ack {
    error: Option<ApiError>,
    #[serde(flatten)]
    receipt: Option<Receipt>,
}

fn read_ack(reply: &async_nats::Message) -> Result<Receipt, Failure> {
    if reply.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(Failure::passing(PublishError::NoStream));
    }
    match serde_json::from_slice(&reply.payload) {
        Ok(Ack { error: Some(error), .. }) => Err(refusal(error)),
        Ok(Ack { receipt: Some(receipt), .. }) => Ok(receipt),
        _ => Err(Failure::last(PublishError::Refused("the stream's ack is unreadable".to_owned()))),
    }
}

/// Names the stream's refusals. (nats-io/nats-server, server/errors.json)
fn refusal(error: ApiError) -> Failure {
    let ApiError { code, err_code, description } = error;
    match err_code {
        // The store failed: its limits, or the disk. The words tell which.
        10077 if description.contains("maximum") || description.contains("no space") => {
            Failure::last(PublishError::Full(description))
        }
        // Resource limits of the account, memory, server and disk.
        10002 | 10023 | 10028 | 10047 => Failure::last(PublishError::Full(description)),
        10054 | 10097 => Failure::last(PublishError::TooLarge),
        // The same id is being stored at this moment; soon it will be a duplicate.
        10158 => Failure::passing(PublishError::Busy),
        // Too many requests; too many atomic batches.
        10167 | 10210 | 10211 => Failure::last(PublishError::Busy),
        // JetStream or its leader is not there now.
        10008 | 10009 | 10039 | 10076 => Failure::last(PublishError::NoStream),
        _ if code == 429 => Failure::last(PublishError::Busy),
        _ => Failure::last(PublishError::Refused(format!("{description} ({err_code})"))),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(payload: &str) -> Result<Receipt, PublishError> {
        let message = async_nats::Message {
            subject: "_INBOX_gateway.x".into(),
            reply: None,
            payload: Bytes::from(payload.to_owned()),
            headers: None,
            status: None,
            description: None,
            length: 0,
        };
        read_ack(&message).map_err(|failure| failure.error)
    }

    fn refused(code: u64, err_code: u64, description: &str) -> (PublishError, bool) {
        let failure = refusal(ApiError { code, err_code, description: description.to_owned() });
        (failure.error, failure.passing)
    }

    #[test]
    fn acks_are_read_and_anything_else_is_no_receipt() {
        let receipt = |duplicate| Receipt { stream: "WEBHOOKS".to_owned(), sequence: 7, duplicate };
        assert_eq!(read(r#"{"stream":"WEBHOOKS","seq":7}"#), Ok(receipt(false)));
        assert_eq!(read(r#"{"stream":"WEBHOOKS","seq":7,"duplicate":true}"#), Ok(receipt(true)));
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"WEBHOOKS","seq":0}"#;
        assert_eq!(read(full), Err(PublishError::Full("maximum bytes exceeded".to_owned())));
        for nothing in ["", "{}", "null", r#"{"stream":"WEBHOOKS"}"#, r#"{"seq":7}"#] {
            assert!(matches!(read(nothing), Err(PublishError::Refused(_))), "{nothing}");
        }
    }

    #[test]
    fn each_refusal_of_the_stream_has_its_name() {
        let full = |words: &str| PublishError::Full(words.to_owned());
        assert_eq!(refused(503, 10077, "no space left on device"), (full("no space left on device"), false));
        assert_eq!(refused(500, 10047, "insufficient storage"), (full("insufficient storage"), false));
        assert_eq!(refused(400, 10054, "too big"), (PublishError::TooLarge, false));
        assert_eq!(refused(409, 10158, "in process"), (PublishError::Busy, true));
        assert_eq!(refused(429, 10167, "too many requests"), (PublishError::Busy, false));
        assert_eq!(refused(503, 10008, "unavailable"), (PublishError::NoStream, false));
        assert_eq!(
            refused(400, 10109, "sealed"),
            (PublishError::Refused("sealed (10109)".to_owned()), false)
        );
        assert!(matches!(refused(503, 10077, "input/output error").0, PublishError::Refused(_)));
    }
}
