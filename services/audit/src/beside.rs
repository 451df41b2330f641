//! What the leader records beside the events: what was refused, and what was done to history.

use std::collections::BTreeMap;

use hookstream_bus::Message;
use hookstream_projection::{ApplyError, Beside};
use hookstream_runtime::Metrics;
use hookstream_store::{Client, StoreError};
use hookstream_trail::kind;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use time::{Duration, OffsetDateTime};

use crate::Trail;
use crate::input::{Fold, Input, Ready};
use crate::operations::{self, OPERATIONS};
use crate::refusals::{Minutes, Place, REJECTIONS, minute_of};

/// How long after its end a minute is closed though nothing of the next has come: the clocks of server and process may
/// differ by so much.
const GRACE: Duration = Duration::seconds(5);

/// Messages of a minute that may be in hand. More than that stay unacked no longer: the minute is closed early, and the
/// rest of it counted in the next.
const HELD_MAX: u64 = 50_000;

/// The other inputs of the trail.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Says when a minute is over.
    clock: fn() -> OffsetDateTime,
    epoch: i64,
    rejections: Input<Refusals>,
    operations: Input<Acts>,
    metrics: Option<TrailMetrics>,
}

impl Inputs {
    pub(crate) fn new(clock: fn() -> OffsetDateTime) -> Self {
        Self {
            clock,
            epoch: 0,
            rejections: Input::new(REJECTIONS, "audit_rejections", Refusals::default()),
            operations: Input::new(OPERATIONS, "audit_operations", Acts),
            metrics: None,
        }
    }

    /// Reads some of each.
    pub(crate) async fn step(&mut self, beside: &mut Beside<'_>, trail: &Trail) -> Result<(), ApplyError> {
        if self.epoch != beside.epoch {
            self.epoch = beside.epoch;
            self.rejections.forget();
            self.operations.forget();
        }
        let now = (self.clock)();
        self.operations.step(beside, trail, now).await?;
        self.rejections.step(beside, trail, now).await?;
        let metrics = self.metrics.get_or_insert_with(|| TrailMetrics::register(beside.metrics));
        Ok(metrics.follow(beside.connection).await?)
    }
}

/// Refusals, summed by the minute.
#[derive(Debug, Default)]
struct Refusals {
    minutes: Minutes,
    /// The last message taken.
    last: Option<Message>,
    held: u64,
}

impl Fold for Refusals {
    fn take(&mut self, message: &Message) -> Option<Ready> {
        let records = self.minutes.take(&message.payload, place(message));
        let last = self.last.replace(message.clone());
        self.held += 1;
        if records.is_empty() {
            return None;
        }
        self.held = 1;
        Some(Ready { records, last: last? })
    }

    fn ready(&mut self, now: OffsetDateTime, caught_up: bool) -> Option<Ready> {
        if self.held < HELD_MAX && !(caught_up && self.minutes.is_over(now, GRACE)) {
            return None;
        }
        self.held = 0;
        Some(Ready { records: self.minutes.close(), last: self.last.take()? })
    }

    fn begin(&mut self, last: Option<&str>) {
        *self = Self { minutes: Minutes::after(last.and_then(minute_of)), last: None, held: 0 };
    }
}

/// Acts, one by one.
#[derive(Debug)]
struct Acts;

impl Fold for Acts {
    fn take(&mut self, message: &Message) -> Option<Ready> {
        let record = operations::record(&message.subject, &message.payload, place(message));
        Some(Ready { records: vec![record], last: message.clone() })
    }

    fn ready(&mut self, _: OffsetDateTime, _: bool) -> Option<Ready> {
        None
    }

    fn begin(&mut self, _: Option<&str>) {}
}

fn place(message: &Message) -> Place {
    Place { stream_sequence: message.stream_sequence, recorded_at: message.recorded_at }
}

/// What the trail holds, counted from the rows themselves: a rolled-back batch was never counted.
#[derive(Debug)]
struct TrailMetrics {
    entries: Family<[(&'static str, &'static str); 1], Counter>,
    refusals: Counter,
    counted: Option<i64>,
}

impl TrailMetrics {
    fn register(metrics: &Metrics) -> Self {
        let entries = Family::default();
        // All kinds are there from the beginning, so that a rate can be taken of each.
        for kind in kind::ALL {
            drop(entries.get_or_create(&[("kind", kind)]));
        }
        Self {
            entries: metrics.register(
                "audit_entries",
                "Entries that this process appended to the trail",
                entries,
            ),
            refusals: metrics.register(
                "audit_refused_requests",
                "Refused requests that those entries stand for",
                Counter::default(),
            ),
            counted: None,
        }
    }

    /// Counts what is new.
    async fn follow(&mut self, client: &Client) -> Result<(), StoreError> {
        let Some(counted) = self.counted else {
            let row = client.query_one(include_str!("sql/head_sequence.sql"), &[]).await?;
            self.counted = Some(row.try_get("audit_sequence")?);
            return Ok(());
        };
        let rows = client.query(include_str!("sql/new_by_kind.sql"), &[&counted]).await?;
        let known: BTreeMap<&str, &'static str> = kind::ALL.iter().map(|kind| (*kind, *kind)).collect();
        for row in rows {
            let (entries, sum): (i64, i64) = (row.try_get("entries")?, row.try_get("counted")?);
            if let Some(kind) = known.get(row.try_get::<_, &str>("kind")?) {
                self.entries.get_or_create(&[("kind", *kind)]).inc_by(u64::try_from(entries).unwrap_or(0));
                if *kind == kind::REJECTED {
                    self.refusals.inc_by(u64::try_from(sum).unwrap_or(0));
                }
            }
            self.counted = self.counted.max(Some(row.try_get("last")?));
        }
        Ok(())
    }
}
