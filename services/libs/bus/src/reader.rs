//! Reading a stream beside its durable consumers: by an ephemeral consumer of one's own, in order, without acks.

use std::time::Duration;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;
use time::{OffsetDateTime, UtcOffset};

use crate::consumer::ConsumerInfo;
use crate::{Bus, BusError, Consumer, Message, PullLimits};

/// How long the server keeps a reader's consumer that nobody pulls from.
const ABANDONED_AFTER: Duration = Duration::from_mins(2);

/// Nothing is stored outside of these. The server counts nanoseconds in 64 bits, and takes a time that does not fit, such
/// as one of the year 2300, for another.
const TIMES: (OffsetDateTime, OffsetDateTime) = (OffsetDateTime::UNIX_EPOCH, datetime!(2262-01-01 0:00 UTC));

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this stream sequence, or at the first one held behind it.
    Sequence(u64),
    /// At the first message stored at this time or later.
    Time(OffsetDateTime),
    /// With what is stored from now on.
    New,
}

/// Which messages, and how much of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Subjects, with wildcards, of which none overlaps another; empty for all.
    pub subjects: Vec<String>,
    /// Leave out the payloads; each message has a header `Nats-Msg-Size` instead.
    pub headers_only: bool,
}

/// What a stream has for a [`Selection`] from a [`Start`] on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Sequence that reading would begin at: that of the first message held, whether it is selected or not; one past
    /// the stream's last if none is left.
    pub first: u64,
    /// Messages selected.
    pub messages: u64,
}

/// Reads a stream in order, each message once, whatever happens to connection and server. Nothing is acked, nothing is
/// kept on the server for longer than two minutes.
#[derive(Debug)]
pub struct Reader {
    bus: Bus,
    stream: String,
    selection: Selection,
    start: Start,
    consumer: Option<Consumer>,
    /// Consumer sequence of the last message.
    handed_out: u64,
    /// The last read found nothing more.
    at_end: bool,
}

impl Bus {
    /// A reader of `stream`. Asks nothing of the server yet.
    pub fn reader(&self, stream: &str, start: Start, selection: Selection) -> Reader {
        let (bus, stream) = (self.clone(), stream.to_owned());
        Reader { bus, stream, selection, start, consumer: None, handed_out: 0, at_end: false }
    }

    /// What `stream` has from `start` on.
    pub async fn ahead(&self, stream: &str, start: Start, selection: &Selection) -> Result<Ahead, BusError> {
        let (consumer, info) = self.create_ephemeral(stream, start, selection).await?;
        self.forget(&consumer).await;
        Ok(Ahead { first: info.delivered.stream_seq + 1, messages: info.num_pending })
    }

    /// Takes an ephemeral consumer off the server, which would do so itself after a while.
    async fn forget(&self, consumer: &Consumer) {
        if let Err(error) = self.delete_consumer(consumer.stream(), consumer.name()).await {
            tracing::debug!(error = %error, "consumer {} is left to the server: {error}", consumer.name());
        }
    }

    async fn create_ephemeral(
        &self,
        stream: &str,
        start: Start,
        selection: &Selection,
    ) -> Result<(Consumer, ConsumerInfo), BusError> {
        let inbox = self.client.new_inbox();
        let name = format!("reader_{}", inbox.rsplit('.').next().unwrap_or(&inbox));
        let mut config = json!({
            "name": name,
            "description": "Reads along, without acks",
            "ack_policy": "none",
            "replay_policy": "instant",
            "filter_subjects": selection.subjects,
            "headers_only": selection.headers_only,
            "inactive_threshold": u64::try_from(ABANDONED_AFTER.as_nanos()).unwrap_or(u64::MAX),
            "mem_storage": true,
            "num_replicas": 1,
        });
        match start {
            Start::Sequence(sequence) => {
                config["deliver_policy"] = "by_start_sequence".into();
                config["opt_start_seq"] = sequence.max(1).into();
            }
            Start::Time(time) => {
                config["deliver_policy"] = "by_start_time".into();
                let time = time.clamp(TIMES.0, TIMES.1).to_offset(UtcOffset::UTC).format(&Rfc3339);
                config["opt_start_time"] = time.expect("a year of four digits, in UTC").into();
            }
            Start::New => config["deliver_policy"] = "new".into(),
        }
        let request: Value = json!({ "stream_name": stream, "config": config, "action": "create" });
        let subject = format!("CONSUMER.CREATE.{stream}.{name}");
        let created = self.api::<ConsumerInfo>(&subject, &request).await;
        let info = created.map_err(|error| crate::consumer::missing(error, stream, &name))?;
        Ok((self.consumer(stream, &name), info))
    }
}

impl Reader {
    /// The next messages, as [`Consumer::pull`] has it; nothing within `limits.wait` is an empty list.
    ///
    /// After an error the reader goes on where it was, at the next call: an outage is the caller's to wait out.
    pub async fn read(&mut self, limits: &PullLimits) -> Result<Vec<Message>, BusError> {
        let consumer = match &self.consumer {
            Some(consumer) => consumer.clone(),
            None => self.begin().await?,
        };
        self.at_end = false;
        let mut messages = match consumer.pull(limits).await {
            Ok(messages) => messages,
            Err(error) => {
                self.consumer = None;
                return Err(error);
            }
        };
        // What got lost on the way is never redelivered, so a hole means: again, from there.
        let whole = messages.iter().zip(self.handed_out + 1..);
        let whole = whole.take_while(|(message, expected)| message.consumer_sequence == *expected).count();
        if whole < messages.len() {
            messages.truncate(whole);
            self.consumer = None;
        }
        if let Some(last) = messages.last() {
            self.handed_out = last.consumer_sequence;
            self.start = Start::Sequence(last.stream_sequence + 1);
        } else if self.consumer.is_some() {
            self.look(&consumer).await?;
        }
        Ok(messages)
    }

    /// Where the next message is sought; `None` before the first one where the start was not a sequence.
    pub fn position(&self) -> Option<u64> {
        match self.start {
            Start::Sequence(sequence) => Some(sequence),
            Start::Time(_) | Start::New => None,
        }
    }

    /// Whether the last read found that nothing more is stored.
    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Takes the consumer off the server, which would do so itself after a while.
    pub async fn end(self) {
        if let Some(consumer) = self.consumer {
            self.bus.forget(&consumer).await;
        }
    }

    async fn begin(&mut self) -> Result<Consumer, BusError> {
        let (consumer, info) = self.bus.create_ephemeral(&self.stream, self.start, &self.selection).await?;
        if self.start == Start::New {
            // Else what is stored while the connection is away would be passed over.
            self.start = Start::Sequence(info.delivered.stream_seq + 1);
        }
        self.handed_out = 0;
        self.consumer = Some(consumer.clone());
        Ok(consumer)
    }

    /// Nothing came: a message that got lost would never be missed by a successor.
    async fn look(&mut self, consumer: &Consumer) -> Result<(), BusError> {
        let state = consumer.state().await;
        if state.as_ref().is_ok_and(|state| state.handed_out == self.handed_out) {
            self.at_end = state.as_ref().is_ok_and(|state| state.pending == 0);
        } else {
            self.consumer = None;
        }
        state.map(drop)
    }
}
