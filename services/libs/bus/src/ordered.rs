//! Appending behind a known end, and only if nobody else has appended meanwhile.

use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SEQUENCE;
use bytes::Bytes;
use futures_util::future::try_join_all;
use hookstream_event::Header;

use crate::batch::{Batch, BatchError};
use crate::outgoing::Outgoing;
use crate::{Bus, PublishError, Receipt};

/// A message to be appended.
#[derive(Debug, Clone)]
pub struct Unsent {
    /// Where it is published.
    pub subject: String,
    /// Headers by name. A `Nats-Msg-Id` among them makes it single within the stream's window.
    pub headers: Vec<Header>,
    /// The bytes.
    pub payload: Bytes,
}

/// So many go one by one, for a batch has its price: the server stages it in files.
const ALONE_MAX: usize = 4;

impl Bus {
    /// Appends `messages` in order to a stream that takes atomic batches, if `last` is its last sequence: each behind the
    /// one before and behind nothing else. Returns the sequence of the last one. Many of them share one fsync.
    ///
    /// After an error it is not known which were stored, or still will be, but for this: none without all those before
    /// it. Read the stream's end again. Whoever appends behind that end next shuts out what may still be under way.
    ///
    /// There are 1 to 1,000 of them. (nats-io/nats-architecture-and-design, adr/ADR-50.md)
    pub async fn append_after(
        &self,
        last: u64,
        messages: Vec<Unsent>,
        limit: Duration,
    ) -> Result<u64, PublishError> {
        let alone = messages.len() <= ALONE_MAX;
        let mut outgoing = Vec::with_capacity(messages.len());
        for (Unsent { subject, mut headers, payload }, behind) in messages.into_iter().zip(last..) {
            // A batch stands or falls with its first message.
            if alone || behind == last {
                headers.push((NATS_EXPECTED_LAST_SEQUENCE.to_string().into(), behind.to_string()));
            }
            outgoing.push(Outgoing::new(subject, headers, payload)?);
        }
        let appended = async {
            if alone { self.append_each(&outgoing).await } else { self.append_all(&outgoing).await }
        };
        let receipt = tokio::time::timeout(limit, appended).await.map_err(|_| PublishError::TimedOut)??;
        if receipt.duplicate {
            return Err(PublishError::Refused("a message with this id is stored already".to_owned()));
        }
        Ok(receipt.sequence)
    }

    /// All are sent at once, in order, and the server refuses those behind one that it does not store.
    async fn append_each(&self, messages: &[Outgoing]) -> Result<Receipt, PublishError> {
        let receipts = try_join_all(messages.iter().map(|message| self.append(message))).await?;
        receipts.into_iter().next_back().ok_or_else(|| PublishError::Refused("there is nothing".to_owned()))
    }

    async fn append_all(&self, messages: &[Outgoing]) -> Result<Receipt, PublishError> {
        Batch::new(self.clone()).commit(messages).await.map_err(|error| match error {
            BatchError::Disconnected => PublishError::Disconnected,
            BatchError::Unsupported => PublishError::Refused("the stream takes no atomic batches".to_owned()),
            BatchError::Refused(why) => PublishError::Refused(why),
        })
    }
}
