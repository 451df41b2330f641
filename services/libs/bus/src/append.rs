//! Appending a message to a stream, and what its ack says.

use std::time::Duration;

use async_nats::{Request, RequestErrorKind, StatusCode};
use serde::Deserialize;

use crate::api::ApiError;
use crate::outgoing::Outgoing;
use crate::{Bus, PublishError, Receipt};

/// How long to wait before asking again after an answer that says "not now, nothing was stored".
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// How often to ask again. Go's client does the same for a stream without a leader.
const RETRIES_MAX: u32 = 2;

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

/// What the stream says of a message, or of a batch.
#[derive(Deserialize)]
pub(crate) struct Ack {
    pub(crate) error: Option<ApiError>,
    #[serde(flatten)]
    pub(crate) receipt: Option<Receipt>,
    /// How many messages of a batch were stored; absent from the ack of a single message.
    pub(crate) count: Option<usize>,
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
