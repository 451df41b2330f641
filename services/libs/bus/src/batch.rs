//! Appending an atomic batch of messages to a stream, and what its ack says.
//! (nats-io/nats-architecture-and-design, adr/ADR-50.md)

use std::borrow::Borrow;

use async_nats::header::{self, HeaderValue};
use async_nats::{HeaderMap, Request};

use crate::append::Ack;
use crate::outgoing::Outgoing;
use crate::{Bus, Receipt};

/// The stream takes no atomic batches. (nats-io/nats-server, server/errors.json)
const BATCHES_DISABLED: u64 = 10174;

/// So many messages are made ready before they are handed to the client, which then sends them with one write: one by
/// one, each would wake it up, and all of them would keep the server waiting.
pub(crate) const SENT_AT_ONCE: usize = 16;

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

/// A batch on its way: the server keeps what it was sent, and stores all of it or nothing once it is committed. What is
/// not committed it forgets after ten seconds.
#[derive(Debug)]
pub(crate) struct Batch {
    bus: Bus,
    /// Unique, and within the server's 64 characters.
    id: HeaderValue,
    /// How many were sent.
    sent: usize,
    failure: Option<BatchError>,
}

impl Batch {
    pub(crate) fn new(bus: Bus) -> Self {
        let inbox = bus.client.new_inbox();
        let id = HeaderValue::from(inbox.rsplit('.').next().unwrap_or(&inbox));
        Self { bus, id, sent: 0, failure: None }
    }

    /// How many were sent.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// Sends messages ahead. That they could not be sent is told by [`Batch::commit`].
    pub(crate) async fn send(&mut self, messages: &[impl Borrow<Outgoing>]) {
        if self.failure.is_none() {
            self.failure = self.try_send(messages).await.err();
        }
    }

    /// It cannot be committed any more: what was sent, nobody knows.
    pub(crate) fn give_up(&mut self) {
        self.failure = Some(BatchError::Refused("it could not be sent in time".to_owned()));
    }

    /// Sends the last messages, at least one, and waits until all of the batch is stored, with one fsync. Returns the
    /// sequence of the last; the others precede it without a gap. The caller bounds the time.
    pub(crate) async fn commit(mut self, messages: &[impl Borrow<Outgoing>]) -> Result<Receipt, BatchError> {
        let losses = self.bus.losses();
        if !self.bus.is_connected() {
            return Err(BatchError::Disconnected);
        }
        let reply = tokio::select! {
            reply = self.send_last(messages) => reply?,
            () = losses.next() => return Err(BatchError::Disconnected),
        };
        let ack: Ack = serde_json::from_slice(&reply.payload)
            .map_err(|_| BatchError::Refused("the stream's ack is unreadable".to_owned()))?;
        match (ack.error, ack.receipt) {
            (Some(error), _) if error.err_code == BATCHES_DISABLED => Err(BatchError::Unsupported),
            (Some(error), _) => Err(BatchError::Refused(error.description)),
            (None, Some(receipt)) if ack.count == Some(self.sent) => Ok(receipt),
            // A server that knows no batches has stored each message by itself.
            _ => Err(BatchError::Unsupported),
        }
    }

    async fn send_last(
        &mut self,
        messages: &[impl Borrow<Outgoing>],
    ) -> Result<async_nats::Message, BatchError> {
        let (last, others) =
            messages.split_last().ok_or_else(|| BatchError::Refused("an empty batch".to_owned()))?;
        self.send(others).await;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let last = last.borrow();
        let mut headers = self.headers(last);
        headers.insert(header::NATS_BATCH_COMMIT, HeaderValue::from(header::NATS_BATCH_COMMIT_FINAL));
        let request = Request::new().headers(headers).payload(last.payload.clone()).timeout(None);
        let reply = self.bus.client.send_request(last.subject.clone(), request).await;
        reply.map_err(|error| BatchError::Refused(error.to_string()))
    }

    async fn try_send(&mut self, messages: &[impl Borrow<Outgoing>]) -> Result<(), BatchError> {
        for chunk in messages.chunks(SENT_AT_ONCE) {
            let ready: Vec<HeaderMap> = chunk.iter().map(|message| self.headers(message.borrow())).collect();
            for (message, headers) in chunk.iter().map(Borrow::borrow).zip(ready) {
                let (subject, payload) = (message.subject.clone(), message.payload.clone());
                let sent = self.bus.client.publish_with_headers(subject, headers, payload).await;
                sent.map_err(|error| BatchError::Refused(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// The headers of the next message.
    fn headers(&mut self, message: &Outgoing) -> HeaderMap {
        self.sent += 1;
        let mut headers = message.header_map();
        headers.insert(header::NATS_BATCH_ID, self.id.clone());
        headers.insert(header::NATS_BATCH_SEQUENCE, HeaderValue::from(self.sent));
        headers
    }
}
