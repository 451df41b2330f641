use hookstream_bus::NatsSettings;
use hookstream_runtime::{Check, Health, Metrics};
use hookstream_store::PgSettings;

use crate::RunnerSettings;

/// What a runner works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where NATS is.
    pub nats: NatsSettings,
    /// Where Postgres is.
    pub postgres: PgSettings,
    /// How the runner behaves.
    pub runner: RunnerSettings,
    /// Gets the checks `postgres`, `nats`, `stream` and `leadership`.
    pub health: Health,
    /// Gets the runner's metrics.
    pub metrics: Metrics,
}

/// The readiness checks of a runner.
#[derive(Debug, Clone)]
pub(crate) struct Checks {
    /// The session stands and the schema is there.
    pub(crate) postgres: Check,
    /// NATS answers.
    pub(crate) nats: Check,
    /// It is the stream we knew, and the consumer hands out its events.
    pub(crate) stream: Check,
    /// We lead, or stand by for who does.
    pub(crate) leadership: Check,
}

impl Checks {
    pub(crate) fn new(health: &Health) -> Self {
        Self {
            postgres: health.check("postgres"),
            nats: health.check("nats"),
            stream: health.check("stream"),
            leadership: health.check("leadership"),
        }
    }
}
