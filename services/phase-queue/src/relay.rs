//! Passes the outbox on to stream `PHASES`: each announcement once, in order, whatever crashes and however long anything
//! is away.
//!
//! Where to go on is not remembered but read: the last message of `PHASES` names the announcement that it carries. The
//! next ones are appended behind that very message or not at all, so neither a repeated attempt nor a former leader that
//! still believes to lead can append one twice. The outbox is numbered by the stream alone, so this holds after a rebuild,
//! too: what was announced before it is passed over.
//!
//! **Invariant:** nobody else publishes to `PHASES`, as nats.conf has it.

mod lease;
mod outbox;
mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookstream_bus::{Bus, BusError, PublishError};
use hookstream_projection::Context;
use hookstream_runtime::{Check, Metrics};
use hookstream_store::{PgSettings, StoreError};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;
use tokio::time::timeout;

use lease::Leases;
use outbox::Outbox;
use tail::Tail;

/// Stream of the announcements.
const STREAM: &str = "PHASES";

/// Longest time for one thing that is asked of Postgres.
const POSTGRES_LIMIT: Duration = Duration::from_secs(15);

/// Longest time for one append.
const APPEND_LIMIT: Duration = Duration::from_secs(10);

/// How often to look into the outbox although nobody said that there is something.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long an append waits at most while the queue is behind the stream. It makes way for what has happened to be read, and
/// what is told then is no older than it has to be.
const BEHIND_MAX: Duration = Duration::from_millis(250);

/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Told of each commit; tells the relay.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bell(Arc<Commits>);

#[derive(Debug, Default)]
struct Commits {
    rung: Notify,
    behind: AtomicBool,
}

impl Bell {
    /// `behind`: more of the stream is waiting to be applied.
    pub(crate) fn ring(&self, behind: bool) {
        self.0.behind.store(behind, Ordering::Relaxed);
        self.0.rung.notify_one();
    }

    async fn rung(&self) {
        self.0.rung.notified().await;
    }

    async fn caught_up(&self) {
        while self.0.behind.load(Ordering::Relaxed) {
            self.rung().await;
        }
    }
}

/// What the relay counts.
#[derive(Debug, Clone)]
pub(crate) struct RelayMetrics {
    announced: Counter,
    expired: Counter,
}

impl RelayMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str| metrics.register(name, help, Counter::default());
        Self {
            announced: counter("phase_announcements", "Changes of phases that were appended to PHASES"),
            expired: counter("phase_leases_expired", "Announced phases that nobody began in time"),
        }
    }
}

/// Passes on what is in the outbox, as long as it is polled.
pub(crate) struct Relay {
    bus: Bus,
    postgres: PgSettings,
    bell: Bell,
    lease: Duration,
    check: Check,
    metrics: RelayMetrics,
}

/// Why the relay has to begin anew. Nothing is lost or told twice by it.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("cannot append to {STREAM}")]
    Append(#[source] PublishError),
    #[error("cannot note that a lease has expired")]
    Lease(#[source] PublishError),
    #[error("message {0} of {STREAM} is no announcement")]
    Stranger(u64),
}

impl Drop for Relay {
    /// Who does not lead has nothing to announce, and nothing to complain of.
    fn drop(&mut self) {
        self.check.pass();
    }
}

impl Relay {
    pub(crate) fn new(
        context: &Context,
        bus: &Bus,
        bell: Bell,
        lease: Duration,
        metrics: RelayMetrics,
    ) -> Self {
        let (bus, postgres) = (bus.clone(), context.postgres.clone());
        let check = context.health.check("announcements");
        Self { bus, postgres, bell, lease, check, metrics }
    }

    /// Runs until dropped.
    pub(crate) async fn run(self) {
        let mut pause = PAUSE.0;
        // Outlives a session: when something was announced is known nowhere else.
        let mut leases = Leases::new(self.lease);
        loop {
            let mut worked = false;
            let broken = match self.session(&mut leases, &mut worked).await {
                Ok(never) => match never {},
                Err(broken) => broken,
            };
            if worked {
                pause = PAUSE.0;
            }
            self.check.fail(chain(&broken));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn session(
        &self,
        leases: &mut Leases,
        worked: &mut bool,
    ) -> Result<std::convert::Infallible, Broken> {
        let outbox = within(Outbox::open(&self.postgres)).await?;
        let mut tail = Tail::read(&self.bus).await?;
        loop {
            // An error is the end of that time.
            let _ = timeout(BEHIND_MAX, self.bell.caught_up()).await;
            let waiting = within(outbox.read(tail.position)).await?;
            if tail.position.origin != waiting.origin {
                // Another WEBHOOKS: its sequences begin anew, and nothing of it was announced yet.
                tail.position = tail::Position::start_of(waiting.origin);
                continue;
            }
            *worked = true;
            self.check.pass();
            let Some(last) = waiting.told.last() else {
                leases.look(self, &outbox.session).await?;
                tokio::select! {
                    () = self.bell.rung() => {}
                    () = tokio::time::sleep(LOOK_EVERY.min(leases.look_every())) => {}
                    () = outbox.session.closed() => return Err(StoreError::SessionLost.into()),
                }
                continue;
            };
            let behind = tail::Position { origin: waiting.origin, cause: last.cause, ordinal: last.ordinal };
            let (messages, count) = (outbox::messages(&waiting), waiting.told.len());
            let appended = self.bus.append_after(tail.sequence, messages, APPEND_LIMIT).await;
            tail = Tail { sequence: appended.map_err(Broken::Append)?, position: behind };
            self.metrics.announced.inc_by(count as u64);
            leases.announced(&waiting.told);
            within(outbox.forget(behind)).await?;
        }
    }
}

/// Bounds what is asked of Postgres on our clock.
async fn within<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let timed_out = StoreError::TimedOut { seconds: POSTGRES_LIMIT.as_secs() };
    timeout(POSTGRES_LIMIT, asked).await.unwrap_or(Err(timed_out))
}

fn chain(broken: &Broken) -> String {
    let mut text = broken.to_string();
    let mut source = std::error::Error::source(broken);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
