//! Tells the stream `REJECTIONS` what was refused, never in the way of what is accepted.
//!
//! A request that is refused costs a look at the [`Sampler`] and at most a place in a bounded queue; a task of its own
//! publishes, one record at a time. Under a flood the first refusals of each kind and client are told one by one, and
//! once a second the rest as a number; so is what the broker did not take at first. A record whose ack got lost is told
//! again under the same id, so the sum of all counts is exact as long as the process lives. A crash, or a stop while the
//! broker is away, loses what was not told yet: the numbers of a second and what is in the queue, and of an outage all
//! since its beginning. The counters in `/metrics` are exact whatever happens here.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hookstream_bus::{Bus, PublishError, Publisher};
use hookstream_event::{BodyDigest, header};
use hookstream_runtime::http::{self, RequestId};
use hyper::HeaderMap;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::GatewayMetrics;
use crate::refusal::Refusal;

mod record;
mod sampler;

use record::{Record, RefusedRequest};
use sampler::{Key, Limits, Sampler};

/// A record is one fsync of a server that has better things to do: these bound it to some fifty a second, and as many
/// numbers again.
const LIMITS: Limits = Limits { each: 5, all: 50, keys: 64 };
const PERIOD: Duration = Duration::from_secs(1);
/// Records that may wait to be published.
const QUEUE_MAX: usize = 256;
/// How long to wait before a record is told again that may have been stored.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long a record may take to be stored.
const PUBLISH_BUDGET: Duration = Duration::from_secs(2);
/// How long what is left may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Where refusals are told. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Rejections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sampler: Mutex<Sampler>,
    sender: mpsc::Sender<Record>,
    receiver: tokio::sync::Mutex<mpsc::Receiver<Record>>,
    ids: Ids,
    /// Owns those that are being digested.
    digesting: TaskTracker,
    /// Nothing more will be refused.
    closing: CancellationToken,
    /// All was told.
    closed: CancellationToken,
}

/// A request that was refused.
pub(crate) struct Refused {
    pub(crate) source: String,
    pub(crate) address: Option<IpAddr>,
    pub(crate) request_id: RequestId,
    pub(crate) reason: &'static str,
    pub(crate) status: u16,
}

/// A refusal that is told by itself, once the digest of its body is known.
pub(crate) struct Telling {
    rejections: Rejections,
    key: Key,
    address: Option<IpAddr>,
    at: OffsetDateTime,
    request: RefusedRequest,
}

/// Whether a refusal is told at all. An event that the stream does not take just now was not refused: its sender
/// tries again, and the stream that would hold the record is on the same server.
pub(crate) fn is_told(refusal: &Refusal) -> bool {
    !matches!(refusal, Refusal::NotStored(_)) || refusal.status().is_client_error()
}

impl Rejections {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        Self(Arc::new(Shared {
            sampler: Mutex::new(Sampler::new(LIMITS)),
            sender,
            receiver: tokio::sync::Mutex::new(receiver),
            ids: Ids::new(),
            digesting: TaskTracker::new(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        }))
    }

    /// Notes a refusal. `Some` if it is to be told by itself.
    pub(crate) fn note(&self, refused: Refused, headers: &HeaderMap) -> Option<Telling> {
        let Refused { source, address, request_id, reason, status } = refused;
        let key = Key { source, reason, status, client: address.map(http::network) };
        let told = self.0.sampler().note(&key);
        told.then(|| Telling {
            rejections: self.clone(),
            key,
            address,
            at: OffsetDateTime::now_utc(),
            request: RefusedRequest {
                request_id: request_id.to_string(),
                headers: record::headers(headers),
                body_sha256: None,
                body_bytes: None,
            },
        })
    }

    /// Publishes until [`Rejections::close`], and then what is left.
    pub(crate) async fn publish(&self, bus: &Bus, metrics: &GatewayMetrics) {
        // Its own publisher, without group commit: what is accepted waits for none of this.
        let publisher = bus.publisher(PUBLISH_BUDGET);
        let mut receiver = self.0.receiver.lock().await;
        let mut periods = interval(PERIOD);
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(record) = receiver.recv() => self.publish_one(&publisher, record, metrics).await,
                _ = periods.tick() => self.publish_rest(&publisher, metrics).await,
                () = self.0.closing.cancelled() => break,
            }
        }
        let last_words = async {
            while let Ok(record) = receiver.try_recv() {
                self.publish_one(&publisher, record, metrics).await;
            }
            self.publish_rest(&publisher, metrics).await;
        };
        let in_time = timeout(LAST_WORDS, last_words).await.is_ok();
        // What the broker did not take is counted, and now nobody will tell it.
        let untold = !self.0.sampler().end_period().is_empty() || !self.0.digesting.is_empty();
        if !in_time || untold {
            tracing::warn!("not every refusal could be told before the end");
        }
        self.0.closed.cancel();
    }

    async fn publish_rest(&self, publisher: &Publisher, metrics: &GatewayMetrics) {
        let (rest, now) = (self.0.sampler().end_period(), OffsetDateTime::now_utc());
        for rest in rest {
            self.publish_one(publisher, Record::of_many(rest, now), metrics).await;
        }
    }

    /// Publishes a record until it is known what became of it.
    async fn publish_one(&self, publisher: &Publisher, record: Record, metrics: &GatewayMetrics) {
        let (subject, payload, id) = (record.subject(), record.payload(), self.0.ids.next());
        loop {
            let headers = vec![
                (header::MSG_ID.into(), id.clone()),
                (header::CONTENT_TYPE.into(), "application/json".to_owned()),
            ];
            let result = publisher.publish(subject.clone(), headers, payload.clone()).await;
            let last = self.0.closing.is_cancelled();
            metrics.rejection_told(result.as_ref().map_or_else(PublishError::code, |_| "stored"));
            match result {
                Ok(_) => return,
                // It may have been stored: only the same record under the same id counts once.
                Err(PublishError::TimedOut | PublishError::Disconnected) if !last => {}
                Err(error) => {
                    tracing::debug!("a record of what was refused was not stored: {error}");
                    let (key, count) = record.tally();
                    self.0.sampler().count_instead(&key, count);
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => {}
                () = self.0.closing.cancelled() => {}
            }
        }
    }

    /// Says that nothing more will be refused, and waits a moment until all was told.
    pub(crate) async fn close(&self) {
        self.0.digesting.close();
        let _ = timeout(LAST_WORDS, self.0.digesting.wait()).await;
        self.0.closing.cancel();
        // A publication in hand, and the last words.
        let _ = timeout(LAST_WORDS * 2, self.0.closed.cancelled()).await;
    }
}

/// Ids of records that no other gateway makes, and no other life of this one.
#[derive(Debug)]
struct Ids {
    life: u64,
    count: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        Self { life: RandomState::new().hash_one(0), count: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("rejection:{:016x}-{}", self.life, self.count.fetch_add(1, Ordering::Relaxed))
    }
}

impl Shared {
    fn sampler(&self) -> MutexGuard<'_, Sampler> {
        // Nothing panics while it is held, and a wrong number would be no more than that.
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telling {
    /// Queues the record, with the digest of the body, if all of that was read. It waits for nothing.
    pub(crate) fn tell(self, body: Option<Bytes>) {
        const ASIDE_BYTES_MIN: usize = 128 * 1024;
        match body {
            // Hashing takes its time. The body keeps its room meanwhile.
            Some(body) if body.len() >= ASIDE_BYTES_MIN => {
                let digesting = self.rejections.0.digesting.clone();
                digesting.spawn_blocking(move || self.queue(Some(&body)));
            }
            body => self.queue(body.as_ref()),
        }
    }

    /// Where the queue is full it is counted instead.
    fn queue(mut self, body: Option<&Bytes>) {
        self.request.body_sha256 = body.map(|body| BodyDigest::of(body).to_string());
        self.request.body_bytes = body.map(Bytes::len);
        let record = Record::of_one(&self.key, self.address, self.at, self.request);
        if self.rejections.0.sender.try_send(record).is_err() {
            self.rejections.0.sampler().count_instead(&self.key, 1);
        }
    }
}
