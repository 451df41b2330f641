use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::connection::REQUEST_TIMEOUT;
use crate::message::header_list;
use crate::{Bus, BusError};

/// A plain subscription: what is published while it stands, at most once. Ends by being dropped.
#[derive(Debug)]
pub struct Subscription {
    messages: async_nats::Subscriber,
}

/// A message of a plain subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Subject it was published on, such as `webhooks.github`.
    pub subject: String,
    /// Headers by name; a republished event has `Nats-Sequence` and `Nats-Subject` among them.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub payload: Bytes,
}

impl Received {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Bus {
    /// Subscribes to `subject`, which may hold wildcards. The subscription is renewed after a reconnect.
    pub async fn subscribe(&self, subject: &str) -> Result<Subscription, BusError> {
        self.require_connection()?;
        let subscribed = async {
            let messages =
                self.client.subscribe(subject.to_owned()).await.map_err(|error| error.to_string())?;
            self.client.flush().await.map(|()| Subscription { messages }).map_err(|error| error.to_string())
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, subscribed).await {
            Ok(subscribed) => subscribed.map_err(|error| BusError::Disconnected(Some(error))),
            Err(_) => Err(BusError::TimedOut(REQUEST_TIMEOUT)),
        }
    }
}

impl Subscription {
    /// The next message; `None` once the connection is closed for good.
    pub async fn next(&mut self) -> Option<Received> {
        let message = self.messages.next().await?;
        Some(Received {
            subject: message.subject.to_string(),
            headers: header_list(message.headers.as_ref()),
            payload: message.payload,
        })
    }
}
