//! Live events for any number of readers up to a bound, none of which can hold up another.
//!
//! A reader is a position in the stream. While it keeps up, it is handed what the stream republishes; whenever it does
//! not (it reads slowly, NATS was away, it asked for the past), it reads the stream itself, event by event, at its own
//! pace. So each reader gets every event once and in order, and costs one event of memory.

use std::sync::Arc;
use std::time::Duration;

use hookstream_bus::{Bus, BusError, Subscription};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use crate::STREAM;

mod event;
mod reader;

pub(crate) use event::LiveEvent;
pub(crate) use reader::Reader;

/// Readers at once.
pub(crate) const READERS_MAX: usize = 64;

/// Events that a reader may be behind before it has to read the stream. All readers share them.
const RECENT_MAX: usize = 256;

/// Before another attempt to subscribe.
const PAUSE: Duration = Duration::from_secs(1);

/// What the stream republishes, and who reads it. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    bus: Bus,
    recent: broadcast::Sender<Arc<LiveEvent>>,
    places: Arc<Semaphore>,
    /// Ends all readers.
    over: CancellationToken,
}

/// Why there is no reader.
pub(crate) enum NoReader {
    /// All places are taken.
    Full,
    /// The position is behind the end of the stream.
    Beyond,
    /// The stream does not answer.
    Bus(BusError),
}

impl Live {
    pub(crate) fn new(bus: Bus) -> Self {
        let (recent, _) = broadcast::channel(RECENT_MAX);
        let places = Arc::new(Semaphore::new(READERS_MAX));
        Self { bus, recent, places, over: CancellationToken::new() }
    }

    /// Hands on what the stream republishes, until `shutdown`; then all readers end.
    pub(crate) async fn follow_until(&self, shutdown: CancellationToken) {
        tokio::select! {
            () = self.follow() => {}
            () = shutdown.cancelled() => {}
        }
        self.over.cancel();
    }

    async fn follow(&self) {
        loop {
            if let Ok(subscription) = self.bus.subscribe("webhooks.*").await {
                self.hand_on(subscription).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn hand_on(&self, mut subscription: Subscription) {
        while let Some(received) = subscription.next().await {
            // Whoever comes later reads the stream.
            if self.recent.receiver_count() > 0
                && let Some(event) = LiveEvent::republished(&received)
            {
                // Fails only if the last reader left meanwhile.
                let _ = self.recent.send(Arc::new(event));
            }
        }
    }

    /// A reader of what comes after the sequence `after`, or from now on; of one source, or of all.
    pub(crate) async fn reader(
        &self,
        after: Option<u64>,
        source: Option<String>,
    ) -> Result<Reader, NoReader> {
        let place: OwnedSemaphorePermit =
            Arc::clone(&self.places).try_acquire_owned().map_err(|_| NoReader::Full)?;
        // Before the stream is asked for its end, so that nothing falls between.
        let recent = self.recent.subscribe();
        let end = self.bus.stream_state(STREAM).await.map_err(NoReader::Bus)?.last_sequence;
        let after = after.unwrap_or(end);
        if after > end {
            return Err(NoReader::Beyond);
        }
        Ok(Reader::new(self.bus.clone(), recent, after + 1, source, self.over.clone(), place))
    }
}
