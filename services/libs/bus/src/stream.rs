use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::{code, microseconds};
use crate::message::header_list;
use crate::{Bus, BusError};
use hookstream_event::header;

/// What a stream holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// Name, such as `WEBHOOKS`.
    pub name: String,
    /// When it was created. A stream that was deleted and made again has another time.
    pub created: OffsetDateTime,
    /// Sequence of the oldest event still held; one more than the last if it is empty, 0 if it never held one.
    pub first_sequence: u64,
    /// Sequence of the newest event ever stored; 0 if there was none.
    pub last_sequence: u64,
    /// Events held.
    pub messages: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Bytes it may hold; `None` without a bound.
    pub bytes_max: Option<u64>,
}

/// A message as the stream keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Position in the stream.
    pub stream_sequence: u64,
    /// When the stream stored it.
    pub recorded_at: OffsetDateTime,
    /// Subject it is stored under.
    pub subject: String,
    /// Headers by name, without those that the server adds.
    pub headers: Vec<(String, String)>,
    /// The exact bytes.
    pub payload: Bytes,
}

#[derive(Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: Value,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    state: Held,
}

#[derive(Deserialize)]
struct Held {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    last_seq: u64,
}

impl Bus {
    /// What stream `name` holds.
    pub async fn stream_state(&self, name: &str) -> Result<StreamState, BusError> {
        let info = self.stream_info(name).await?;
        Ok(StreamState {
            name: name.to_owned(),
            created: microseconds(info.created),
            first_sequence: info.state.first_seq,
            last_sequence: info.state.last_seq,
            messages: info.state.messages,
            bytes: info.state.bytes,
            bytes_max: info.config["max_bytes"].as_i64().and_then(|bytes| u64::try_from(bytes).ok()),
        })
    }

    pub(crate) async fn stream_info(&self, name: &str) -> Result<StreamInfo, BusError> {
        self.api(&format!("STREAM.INFO.{name}"), &Value::Null).await.map_err(|error| match error {
            BusError::Refused { code: code::STREAM_MISSING, .. } => BusError::StreamMissing(name.to_owned()),
            other => other,
        })
    }

    /// The event id of the message at `sequence`; `None` if there is no such message, or it has no id.
    pub async fn message_id_at(&self, stream: &str, sequence: u64) -> Result<Option<String>, BusError> {
        let stored = self.message_at(stream, sequence).await?;
        Ok(stored.and_then(|stored| {
            stored.headers.into_iter().find(|(name, _)| name == header::MSG_ID).map(|(_, id)| id)
        }))
    }

    /// The message at `sequence`, by direct get; `None` if the stream does not hold one there.
    pub async fn message_at(&self, stream: &str, sequence: u64) -> Result<Option<StoredMessage>, BusError> {
        self.direct_get(stream, &json!({ "seq": sequence })).await
    }

    /// The first message at `sequence` or behind it whose subject matches; `None` if there is none yet.
    pub async fn message_from(
        &self,
        stream: &str,
        sequence: u64,
        subject: &str,
    ) -> Result<Option<StoredMessage>, BusError> {
        self.direct_get(stream, &json!({ "seq": sequence, "next_by_subj": subject })).await
    }

    async fn direct_get(&self, stream: &str, wanted: &Value) -> Result<Option<StoredMessage>, BusError> {
        let subject = format!("$JS.API.DIRECT.GET.{stream}");
        let reply = match self.request(subject, wanted.to_string().into()).await {
            // Ask why: the stream may be missing, or without a leader.
            Err(BusError::NoResponders) => {
                return Err(self.stream_info(stream).await.err().unwrap_or(BusError::NoResponders));
            }
            reply => reply?,
        };
        match reply.status.map_or(200, |status| status.as_u16()) {
            200 => {}
            404 => return Ok(None),
            status => {
                let description = reply.description.unwrap_or_default();
                return Err(BusError::Refused { code: status.into(), description });
            }
        }
        let mut headers = header_list(reply.headers.as_ref());
        let mut take = |wanted: &str| {
            let at = headers.iter().position(|(name, _)| name == wanted)?;
            Some(headers.swap_remove(at).1)
        };
        let found = (|| {
            Some(StoredMessage {
                stream_sequence: take("Nats-Sequence")?.parse().ok()?,
                recorded_at: microseconds(OffsetDateTime::parse(&take("Nats-Time-Stamp")?, &Rfc3339).ok()?),
                subject: take("Nats-Subject")?,
                headers: Vec::new(),
                payload: reply.payload,
            })
        })();
        take("Nats-Stream");
        headers.sort();
        match found {
            Some(found) => Ok(Some(StoredMessage { headers, ..found })),
            None => Err(BusError::Unreadable(format!("a message of {stream} lacks Nats-* headers"))),
        }
    }
}
