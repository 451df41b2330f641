use std::future::Future;

use bytes::Bytes;
use hookstream_bus::{PublishError, Publisher, Receipt};
use hookstream_event::Header;

/// Where verified events go. A gateway's go to the stream; `hookstream bench` has one that keeps nothing, to tell what
/// the stream costs.
pub trait Sink: Send + Sync + 'static {
    /// Stores an event, a message for `subject`. It is answered with 2xx only after this returns a receipt.
    fn store(
        &self,
        subject: String,
        headers: Vec<Header>,
        payload: Bytes,
    ) -> impl Future<Output = Result<Receipt, PublishError>> + Send;
}

impl Sink for Publisher {
    async fn store(
        &self,
        subject: String,
        headers: Vec<Header>,
        payload: Bytes,
    ) -> Result<Receipt, PublishError> {
        self.publish(subject, headers, payload).await
    }
}
