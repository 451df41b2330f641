//! Appending behind a known end: several messages or none, and only if nobody else has appended meanwhile.

use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SEQUENCE;
use bytes::Bytes;

use crate::append::{BatchError, Outgoing};
use crate::{Bus, PublishError};

/// A message to be appended.
#[derive(Debug, Clone)]
pub struct Unsent {
    /// Where it is published.
    pub subject: String,
    /// Headers by name. A `Nats-Msg-Id` among them makes it single within the stream's window.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub payload: Bytes,
}

impl Bus {
    /// Appends `messages`, all of them or none, to a stream that takes atomic batches, if `last` is its last sequence.
    /// Returns the sequence of the last one. They share one fsync.
    ///
    /// After an error it is not known whether they were stored, or still will be: read the stream's end again. Whoever
    /// appends behind that end next shuts out what may still be under way.
    ///
    /// A batch has 1 to 1,000 messages. (nats-io/nats-architecture-and-design, adr/ADR-50.md)
    pub async fn append_after(
        &self,
        last: u64,
        messages: Vec<Unsent>,
        limit: Duration,
    ) -> Result<u64, PublishError> {
        let mut outgoing = Vec::with_capacity(messages.len());
        for (at, Unsent { subject, mut headers, payload }) in messages.into_iter().enumerate() {
            if at == 0 {
                // The whole batch stands or falls with its first message.
                headers.push((NATS_EXPECTED_LAST_SEQUENCE.to_string(), last.to_string()));
            }
            outgoing.push(Outgoing::new(subject, headers, payload)?);
        }
        let appended = async {
            match &outgoing[..] {
                [one] => self.append(one).await,
                many => {
                    let many: Vec<&Outgoing> = many.iter().collect();
                    self.append_batch(&many).await.map_err(|error| match error {
                        BatchError::Disconnected => PublishError::Disconnected,
                        BatchError::Unsupported => {
                            PublishError::Refused("the stream takes no atomic batches".to_owned())
                        }
                        BatchError::Refused(why) => PublishError::Refused(why),
                    })
                }
            }
        };
        let receipt = tokio::time::timeout(limit, appended).await.map_err(|_| PublishError::TimedOut)??;
        if receipt.duplicate {
            return Err(PublishError::Refused("a message with this id is stored already".to_owned()));
        }
        Ok(receipt.sequence)
    }
}
