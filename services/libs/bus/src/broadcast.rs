//! Publishing to whoever listens, without a stream's ack.

use bytes::Bytes;
use hookstream_event::Header;

use crate::connection::REQUEST_TIMEOUT;
use crate::outgoing::Outgoing;
use crate::{Bus, BusError};

/// What the server counts besides headers' names and values: the version line and the line breaks.
const HEADER_FRAME_BYTES: usize = 16;

impl Bus {
    /// Publishes one message to the subscribers of `subject`. Headers go as they are given.
    ///
    /// The server has taken it once it answers a later request on this connection, such as [`Bus::stream_state`]. A
    /// refused permission is among [`Bus::violations`] about then, and surely after a [`Bus::drain`] behind that: the
    /// client hands on what is no answer aside.
    pub async fn broadcast(
        &self,
        subject: String,
        headers: Vec<Header>,
        payload: Bytes,
    ) -> Result<(), BusError> {
        let message = Outgoing::new(subject, headers, payload)
            .map_err(|error| BusError::Unreadable(error.to_string()))?;
        let (bytes, bytes_max) = (message.bytes() + HEADER_FRAME_BYTES, self.max_payload_bytes());
        self.require_connection()?;
        if bytes > bytes_max {
            return Err(BusError::TooLarge { bytes, bytes_max });
        }
        let headers = message.header_map();
        let sent = self.client.publish_with_headers(message.subject, headers, message.payload);
        match tokio::time::timeout(REQUEST_TIMEOUT, sent).await {
            Ok(sent) => sent.map_err(|error| BusError::Disconnected(Some(error.to_string()))),
            Err(_) => Err(BusError::TimedOut(REQUEST_TIMEOUT)),
        }
    }
}
