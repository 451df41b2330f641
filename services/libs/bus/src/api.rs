//! Requests to the JetStream API, as JSON. The server's answers are read into our own types: configurations stay JSON,
//! because they are compared and sent field by field (see [`crate::topology`]).

use async_nats::{Request, RequestErrorKind};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;

use crate::connection::REQUEST_TIMEOUT;
use crate::{Bus, BusError};

/// JetStream's own error numbers. (nats-io/nats-server, server/errors.json)
pub(crate) mod code {
    pub(crate) const CONSUMER_MISSING: u64 = 10014;
    pub(crate) const STREAM_MISSING: u64 = 10059;
}

/// `error` of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct ApiError {
    /// Status in the manner of HTTP.
    #[serde(default)]
    pub(crate) code: u64,
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<ApiError>,
}

impl Bus {
    /// Sends `request` to `$JS.API.<subject>`. An `error` in the answer is [`BusError::Refused`].
    pub(crate) async fn api<T: DeserializeOwned>(
        &self,
        subject: &str,
        request: &Value,
    ) -> Result<T, BusError> {
        let payload = if request.is_null() { Bytes::new() } else { Bytes::from(request.to_string()) };
        let answer = self.request(format!("$JS.API.{subject}"), payload).await?;
        let unreadable = |error: serde_json::Error| BusError::Unreadable(format!("{subject}: {error}"));
        let Answer { error } = serde_json::from_slice(&answer.payload).map_err(unreadable)?;
        match error {
            None => serde_json::from_slice(&answer.payload).map_err(unreadable),
            Some(ApiError { code, err_code, description }) => {
                Err(BusError::Refused { code: if err_code == 0 { code } else { err_code }, description })
            }
        }
    }

    /// One request and its reply, bounded even while the client's queue is full.
    pub(crate) async fn request(
        &self,
        subject: String,
        payload: Bytes,
    ) -> Result<async_nats::Message, BusError> {
        let losses = self.losses();
        self.require_connection()?;
        let request = Request::new().payload(payload).timeout(None);
        let sent = tokio::time::timeout(REQUEST_TIMEOUT, self.client.send_request(subject, request));
        let answer = tokio::select! {
            answer = sent => answer,
            // The answer was lost with the connection.
            () = losses.next() => return Err(BusError::Disconnected(self.problem())),
        };
        match answer {
            Err(_) => Err(BusError::TimedOut(REQUEST_TIMEOUT)),
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::NoResponders => BusError::NoResponders,
                RequestErrorKind::TimedOut => BusError::TimedOut(REQUEST_TIMEOUT),
                _ if !self.is_connected() => BusError::Disconnected(self.problem()),
                _ => BusError::Unreadable(error.to_string()),
            }),
        }
    }
}

/// Whole microseconds, rounded down: what Postgres keeps.
pub(crate) fn microseconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(time.microsecond() * 1000).unwrap_or(time)
}
