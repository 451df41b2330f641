use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookstream_event::Header;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::commit::{Commit, Committer, GroupCommit};
use crate::outgoing::Outgoing;
use crate::{Bus, PublishError};

/// Messages that may be under way at once; more wait, within their budget.
const IN_FLIGHT_MAX: usize = 1024;

/// Where a message was stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Receipt {
    /// The stream, such as `WEBHOOKS`.
    pub stream: String,
    /// Position in the stream; the first one's, for a duplicate.
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// The same id was stored within the stream's window; nothing was stored now.
    #[serde(default)]
    pub duplicate: bool,
}

/// Appends messages to streams and waits until they are durable. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    bus: Bus,
    budget: Duration,
    in_flight: Arc<Semaphore>,
    committer: Option<Committer>,
}

impl Bus {
    /// A publisher whose every call is answered within `budget`.
    pub fn publisher(&self, budget: Duration) -> Publisher {
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        Publisher { bus: self.clone(), budget, in_flight, committer: None }
    }
}

impl Publisher {
    /// From now on, messages that come while others are being stored leave together, and share one fsync, where that
    /// pays off. All of them must be for one stream. Must be called within a runtime.
    #[must_use]
    pub fn with_group_commit(self, limits: GroupCommit) -> Self {
        self.with_observed_group_commit(limits, |_| {})
    }

    /// The same, and `observer` is told of each commit that has ended. It must not block.
    #[must_use]
    pub fn with_observed_group_commit(
        mut self,
        limits: GroupCommit,
        observer: impl Fn(Commit) + Send + Sync + 'static,
    ) -> Self {
        let committer = Committer::new(self.bus.clone(), limits, self.budget / 2, Arc::new(observer));
        self.committer = Some(committer);
        self
    }

    /// Stores one message and returns once the stream has acked it. Headers go as they are given; the caller's
    /// `Nats-Msg-Id` among them makes the message single within the stream's window.
    pub async fn publish(
        &self,
        subject: String,
        headers: Vec<Header>,
        payload: Bytes,
    ) -> Result<Receipt, PublishError> {
        let message = Outgoing::new(subject, headers, payload)?;
        match tokio::time::timeout(self.budget, self.append(message)).await {
            Ok(result) => result,
            Err(_) if self.in_flight.available_permits() == 0 => Err(PublishError::Busy),
            Err(_) => Err(PublishError::TimedOut),
        }
    }

    async fn append(&self, message: Outgoing) -> Result<Receipt, PublishError> {
        if !self.bus.is_connected() {
            return Err(PublishError::Disconnected);
        }
        let permit = Arc::clone(&self.in_flight).acquire_owned().await.map_err(|_| PublishError::Busy)?;
        match &self.committer {
            // The permit goes along, so that what waits is bounded even when nobody waits for it any more.
            Some(committer) => committer.append(message, permit).await,
            None => self.bus.append(&message).await,
        }
    }
}
