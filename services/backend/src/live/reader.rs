use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use hookstream_bus::Bus;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio_util::sync::CancellationToken;

use super::{LiveEvent, STREAM};

/// Without an event for so long, a comment tells that we are still here. It also is the time after which a reader looks
/// whether it missed anything, as it may while NATS is away.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Before the stream is asked again after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells a browser how long to wait before it connects again, in milliseconds.
const GREETING: &[u8] = b"retry: 2000\n: hookstream\n\n";

/// Somebody who reads live events.
pub(crate) struct Reader {
    bus: Bus,
    recent: broadcast::Receiver<Arc<LiveEvent>>,
    /// Sequence of the next event to give.
    next: u64,
    /// The stream may hold events from `next` on.
    behind: bool,
    greeted: bool,
    source: Option<String>,
    over: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    pub(super) fn new(
        bus: Bus,
        recent: broadcast::Receiver<Arc<LiveEvent>>,
        next: u64,
        source: Option<String>,
        over: CancellationToken,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { bus, recent, next, behind: true, greeted: false, source, over, _place: place }
    }

    /// Server-sent events, until the shutdown. Nothing is read ahead: an event is fetched when there is room for it.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        unfold(self, |mut reader| async {
            let over = reader.over.clone();
            tokio::select! {
                biased;
                () = over.cancelled() => None,
                text = reader.read() => Some((Ok(text), reader)),
            }
        })
    }

    /// The next piece of text.
    async fn read(&mut self) -> Bytes {
        if !self.greeted {
            self.greeted = true;
            return Bytes::from_static(GREETING);
        }
        loop {
            let text = if self.behind { self.catch_up().await } else { self.wait().await };
            if let Some(text) = text {
                return Bytes::from(text);
            }
        }
    }

    /// Reads the stream at `next`.
    async fn catch_up(&mut self) -> Option<String> {
        match self.bus.message_at(STREAM, self.next).await {
            Ok(Some(stored)) => self.give(&LiveEvent::stored(&stored)),
            Ok(None) => self.find_next().await,
            Err(_) => Some(self.nothing_for(PAUSE).await),
        }
    }

    /// There is nothing at `next`: it is the end of the stream, or too old and gone.
    async fn find_next(&mut self) -> Option<String> {
        match self.bus.stream_state(STREAM).await {
            Ok(state) if state.first_sequence > self.next => {
                let (from, to) = (self.next, state.first_sequence - 1);
                self.next = state.first_sequence;
                let data = serde_json::json!({ "from": from, "to": to });
                Some(format!("id: {to}\nevent: gap\ndata: {data}\n\n"))
            }
            Ok(state) => {
                self.behind = state.last_sequence >= self.next;
                None
            }
            Err(_) => Some(self.nothing_for(PAUSE).await),
        }
    }

    /// Waits for what the stream republishes.
    async fn wait(&mut self) -> Option<String> {
        match tokio::time::timeout(HEARTBEAT, self.recent.recv()).await {
            Ok(Ok(event)) if event.sequence < self.next => None,
            Ok(Ok(event)) if event.sequence == self.next => self.give(&event),
            // Some in between did not come, or were dropped because we were slow.
            Ok(_) => {
                self.behind = true;
                None
            }
            Err(_) => {
                self.behind = true;
                Some(comment())
            }
        }
    }

    fn give(&mut self, event: &LiveEvent) -> Option<String> {
        self.next = event.sequence + 1;
        let wanted = self.source.as_ref().is_none_or(|source| *source == event.source);
        wanted.then(|| event.text.clone())
    }

    async fn nothing_for(&self, pause: Duration) -> String {
        tokio::time::sleep(pause).await;
        comment()
    }
}

fn comment() -> String {
    ":\n\n".to_owned()
}
