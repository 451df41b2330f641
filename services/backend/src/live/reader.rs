use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use hookstream_bus::Bus;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LiveEvent;
use crate::STREAM;

/// With nothing said for so long, be it that no event came or none that the reader wants, a comment tells that we are
/// still here. It also is the time after which a reader looks whether it missed anything, as it may while NATS is away.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Before the stream is asked again after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells a browser how long to wait before it connects again, in milliseconds.
const GREETING: &str = "retry: 2000\n: hookstream\n";

/// Somebody who reads live events.
pub(crate) struct Reader {
    bus: Bus,
    recent: broadcast::Receiver<Arc<LiveEvent>>,
    /// Sequence of the next event to give.
    next: u64,
    /// The stream may hold events from `next` on.
    behind: bool,
    /// When something was last said; `None` before the greeting.
    said: Option<Instant>,
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
        Self { bus, recent, next, behind: true, said: None, source, over, _place: place }
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
        let text = match self.said {
            None => format!("{GREETING}{}", self.here()),
            Some(said) => self.say(said + HEARTBEAT).await,
        };
        self.said = Some(Instant::now());
        Bytes::from(text)
    }

    /// What there is to say; at `latest`, that we are here.
    async fn say(&mut self, latest: Instant) -> String {
        loop {
            let text = if self.behind { self.catch_up().await } else { self.wait(latest).await };
            match text {
                Some(text) => return text,
                None if Instant::now() >= latest => return self.here(),
                None => {}
            }
        }
    }

    /// Reads the stream at `next`.
    async fn catch_up(&mut self) -> Option<String> {
        match self.bus.message_from(STREAM, self.next, ">").await {
            // Whatever was in between is gone: too old, or dropped by a server that found it damaged.
            Ok(Some(stored)) if stored.stream_sequence > self.next => Some(self.gap(stored.stream_sequence)),
            Ok(Some(stored)) => self.give(&LiveEvent::stored(&stored)),
            Ok(None) => self.rest().await,
            Err(_) => Some(self.nothing_for(PAUSE).await),
        }
    }

    /// There is nothing from `next` on. What is stored meanwhile is republished, too.
    async fn rest(&mut self) -> Option<String> {
        match self.bus.stream_state(STREAM).await {
            Ok(state) if state.first_sequence > self.next => Some(self.gap(state.first_sequence)),
            Ok(_) => {
                self.behind = false;
                None
            }
            Err(_) => Some(self.nothing_for(PAUSE).await),
        }
    }

    /// Tells that there is nothing before the sequence `next`.
    fn gap(&mut self, next: u64) -> String {
        let (from, to) = (self.next, next - 1);
        self.next = next;
        let data = serde_json::json!({ "from": from, "to": to });
        format!("id: {to}\nevent: gap\ndata: {data}\n\n")
    }

    /// Waits for what the stream republishes.
    async fn wait(&mut self, latest: Instant) -> Option<String> {
        match tokio::time::timeout_at(latest, self.recent.recv()).await {
            Ok(Ok(event)) if event.sequence < self.next => None,
            Ok(Ok(event)) if event.sequence == self.next => self.give(&event),
            // Some in between did not come, or were dropped because we were slow.
            Ok(_) => {
                self.behind = true;
                None
            }
            Err(_) => {
                self.behind = true;
                Some(self.here())
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
        self.here()
    }

    /// A comment, with where the reader is: whoever connects again goes on there, though it was given nothing.
    fn here(&self) -> String {
        format!("id: {}\n:\n\n", self.next - 1)
    }
}
