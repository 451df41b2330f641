use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::api::code;
use crate::connection::REQUEST_TIMEOUT;
use crate::{Bus, BusError, Message};

/// How much longer than asked for we wait for the server to end a pull. A large message takes its time over a slow
/// connection; one that is dead is noticed as soon, by its pings.
const GRACE: Duration = Duration::from_secs(10);

/// Room for what the server counts besides headers and payload: the subject and the ack subject.
const FRAME_BYTES: usize = 4096;

/// A durable consumer of a stream. It survives reconnects; it must exist (see [`crate::topology`]).
#[derive(Debug, Clone)]
pub struct Consumer {
    pub(crate) bus: Bus,
    stream: String,
    name: String,
}

/// How much one pull may bring.
#[derive(Debug, Clone, Copy)]
pub struct PullLimits {
    /// Most messages.
    pub messages: usize,
    /// Most bytes, headers included; raised to what the largest message needs.
    pub bytes: usize,
    /// How long to wait for the first message.
    pub wait: Duration,
}

/// Where a consumer stands, as the server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerState {
    /// All messages up to this stream sequence are acked.
    pub ack_floor: u64,
    /// Stream sequence of the last message handed out.
    pub delivered: u64,
    /// Messages of the stream that were not yet handed out.
    pub pending: u64,
    /// Messages handed out and not acked.
    pub ack_pending: u64,
    /// Consumer sequence of the last message handed out: how many were, since it was created or rewound.
    pub handed_out: u64,
    /// Pulls that wait for a message.
    pub waiting: u64,
}

#[derive(Deserialize)]
pub(crate) struct ConsumerInfo {
    pub(crate) config: Value,
    pub(crate) delivered: Pair,
    ack_floor: Pair,
    num_ack_pending: u64,
    pub(crate) num_pending: u64,
    num_waiting: u64,
}

#[derive(Deserialize)]
pub(crate) struct Pair {
    consumer_seq: u64,
    pub(crate) stream_seq: u64,
}

impl From<&ConsumerInfo> for ConsumerState {
    fn from(info: &ConsumerInfo) -> Self {
        Self {
            ack_floor: info.ack_floor.stream_seq,
            delivered: info.delivered.stream_seq,
            pending: info.num_pending,
            ack_pending: info.num_ack_pending,
            handed_out: info.delivered.consumer_seq,
            waiting: info.num_waiting,
        }
    }
}

impl Bus {
    /// The durable consumer `name` of `stream`. Asks nothing of the server; the first use finds out if it is missing.
    pub fn consumer(&self, stream: &str, name: &str) -> Consumer {
        Consumer { bus: self.clone(), stream: stream.to_owned(), name: name.to_owned() }
    }

    pub(crate) async fn consumer_info(&self, stream: &str, name: &str) -> Result<ConsumerInfo, BusError> {
        self.api(&format!("CONSUMER.INFO.{stream}.{name}"), &Value::Null)
            .await
            .map_err(|error| missing(error, stream, name))
    }
}

/// The subjects that a consumer of this configuration is for; none of them: all.
pub(crate) fn filters(config: &Map<String, Value>) -> Vec<String> {
    let several = config.get("filter_subjects").and_then(Value::as_array).into_iter().flatten();
    let subjects = several.chain(config.get("filter_subject")).filter_map(Value::as_str);
    subjects.filter(|subject| !subject.is_empty()).map(str::to_owned).collect()
}

/// Names the stream or consumer that the server does not know.
pub(crate) fn missing(error: BusError, stream: &str, consumer: &str) -> BusError {
    match error {
        BusError::Refused { code: code::STREAM_MISSING, .. } => BusError::StreamMissing(stream.to_owned()),
        BusError::Refused { code: code::CONSUMER_MISSING, .. } => {
            BusError::ConsumerMissing { stream: stream.to_owned(), consumer: consumer.to_owned() }
        }
        other => other,
    }
}

/// What a message of a pull means.
enum Pulled {
    Message(Box<Message>),
    /// The pull is over.
    End,
    Failed(BusError),
}

impl Consumer {
    /// The consumer's name, which is its projection's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stream's name.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Pulls what is there, at most `limits`, and returns at once if anything is; else waits for the first message,
    /// at most `limits.wait`, and returns what came with it. Nothing within that time is an empty list.
    ///
    /// A call that is dropped, or that ends in an error, may lose what it was handed until the consumer is rewound.
    pub async fn pull(&self, limits: &PullLimits) -> Result<Vec<Message>, BusError> {
        let losses = self.bus.losses();
        let lost = losses.next();
        tokio::pin!(lost);
        self.bus.require_connection()?;
        let deadline = Instant::now() + limits.wait + GRACE;
        let mut replies = self.send_pull(limits).await?;
        let mut messages = Vec::new();
        while messages.len() < limits.messages {
            let reply = tokio::select! {
                reply = tokio::time::timeout_at(deadline, replies.next()) => reply,
                () = &mut lost => Ok(None),
            };
            match reply {
                Ok(Some(reply)) => match self.read(reply, messages.is_empty()).await {
                    Pulled::Message(message) => messages.push(*message),
                    Pulled::End => break,
                    Pulled::Failed(error) => return Err(error),
                },
                Ok(None) if messages.is_empty() => return Err(BusError::Disconnected(self.bus.problem())),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(messages)
    }

    async fn send_pull(&self, limits: &PullLimits) -> Result<async_nats::Subscriber, BusError> {
        let bytes_min = self.bus.max_payload_bytes() + FRAME_BYTES;
        let request = json!({
            "batch": limits.messages,
            "max_bytes": limits.bytes.max(bytes_min),
            "expires": u64::try_from(limits.wait.as_nanos()).unwrap_or(u64::MAX),
            // With `expires`: wait for the first message only, then hand out what there is.
            "no_wait": true,
        });
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.name);
        let inbox = self.bus.client.new_inbox();
        let sent = async {
            let replies =
                self.bus.client.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
            let request = Bytes::from(request.to_string());
            let sent = self.bus.client.publish_with_reply(subject, inbox, request).await;
            sent.map(|()| replies).map_err(|error| error.to_string())
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, sent).await {
            Ok(Ok(replies)) => Ok(replies),
            Ok(Err(error)) => Err(BusError::Disconnected(Some(error))),
            Err(_) => Err(BusError::TimedOut(REQUEST_TIMEOUT)),
        }
    }

    async fn read(&self, reply: async_nats::Message, first: bool) -> Pulled {
        let description = reply.description.clone().unwrap_or_default();
        match reply.status.map_or(200, |status| status.as_u16()) {
            200 => match Message::read(reply) {
                Some(message) => Pulled::Message(Box::new(message)),
                None => Pulled::Failed(BusError::Unreadable("a pulled message has no position".to_owned())),
            },
            // Nothing more now; the pull expired.
            404 | 408 => Pulled::End,
            // The next message does not fit into the bytes that are left, or the server is about to stop.
            409 if !first && !description.contains("Consumer Deleted") => Pulled::End,
            409 if description.contains("Shutdown") || description.contains("Leadership") => {
                Pulled::Failed(BusError::NoResponders)
            }
            // Ask why: the consumer may be gone, or JetStream.
            409 if description.contains("Consumer Deleted") => Pulled::Failed(self.why_silent().await),
            503 => Pulled::Failed(self.why_silent().await),
            status => Pulled::Failed(BusError::Refused { code: status.into(), description }),
        }
    }

    async fn why_silent(&self) -> BusError {
        self.state().await.err().unwrap_or(BusError::NoResponders)
    }

    /// Acks every message, in order, and returns once the server has confirmed the last ack.
    pub async fn ack(&self, messages: &[Message]) -> Result<(), BusError> {
        const ACK: Bytes = Bytes::from_static(b"+ACK");
        let Some((last, others)) = messages.split_last() else { return Ok(()) };
        self.bus.require_connection()?;
        let queued = async {
            for message in others {
                self.bus.client.publish(message.ack_subject.clone(), ACK).await?;
            }
            Ok::<_, async_nats::PublishError>(())
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, queued).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(BusError::Disconnected(Some(error.to_string()))),
            Err(_) => return Err(BusError::TimedOut(REQUEST_TIMEOUT)),
        }
        match self.bus.request(last.ack_subject.clone(), ACK).await {
            Ok(_) => Ok(()),
            Err(BusError::NoResponders) => Err(self.why_silent().await),
            // The server passes over the ack of a message that is not pending, such as one from before a rewind.
            Err(error) => Err(error),
        }
    }

    /// Where the consumer stands.
    pub async fn state(&self) -> Result<ConsumerState, BusError> {
        let info = self.bus.consumer_info(&self.stream, &self.name).await?;
        Ok(ConsumerState::from(&info))
    }

    /// Sequence of the first message at `sequence` or behind it that is for this consumer; `None` if there is none yet.
    ///
    /// The stream itself is asked. What the consumer counts as pending is counted a moment after a message was stored
    /// and acked, and may miss it. (nats-io/nats-server, server/stream.go, signalConsumersLoop)
    pub async fn next_wanted(&self, sequence: u64) -> Result<Option<u64>, BusError> {
        let info = self.bus.consumer_info(&self.stream, &self.name).await?;
        let mut subjects = info.config.as_object().map(filters).unwrap_or_default();
        if subjects.is_empty() {
            subjects.push(">".to_owned());
        }
        let mut first = None;
        for subject in subjects {
            let found = self.bus.message_from(&self.stream, sequence, &subject).await?;
            first = first.into_iter().chain(found.map(|message| message.stream_sequence)).min();
        }
        Ok(first)
    }

    /// Makes the consumer hand out everything from `stream_sequence` on, as if for the first time: attempts and
    /// consumer sequences start at 1 again, and nothing older is pending. Needs nats-server 2.14.
    ///
    /// `stream_sequence` is at least 1 and at most one past the stream's last.
    /// (nats-io/nats-architecture-and-design, adr/ADR-60.md)
    pub async fn rewind(&self, stream_sequence: u64) -> Result<ConsumerState, BusError> {
        // The server would take any sequence, and pass over all events up to it when they come.
        let stream = self.bus.stream_state(&self.stream).await?;
        let wanted = stream_sequence.max(1);
        if wanted > stream.last_sequence + 1 {
            return Err(BusError::BeyondEnd { stream: stream.name, wanted, last: stream.last_sequence });
        }
        // Nor does it answer at all for a consumer that is missing.
        self.state().await?;
        let subject = format!("CONSUMER.RESET.{}.{}", self.stream, self.name);
        let info: ConsumerInfo = self.bus.api(&subject, &json!({ "seq": wanted })).await?;
        Ok(ConsumerState::from(&info))
    }
}
