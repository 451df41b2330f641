use std::time::Duration;

use hookstream_bus::{Bus, BusError};
use hookstream_store::{Connection, Kind, StoreError, leadership, migrate};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::{Backoff, around};
use crate::context::Checks;
use crate::leader::Leader;
use crate::metrics::RunnerMetrics;
use crate::{Context, Projection, RunError};

/// Longest wait for a session, and for what is asked of it outside of batches.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(15);

/// Migrations may take long; they run once.
const MIGRATION_TIMEOUT: Duration = Duration::from_hours(1);

/// Runs a projection until `shutdown` is cancelled or something happens that waiting does not mend.
///
/// Applies its migrations, takes the lead or stands by for it, and follows the stream. Outages of Postgres and NATS are
/// waited out, for as long as they take; meanwhile the checks in `context.health` say why it is not ready. On shutdown
/// the batch in hand is finished. Dropping the future at any point loses and repeats nothing.
pub async fn run<P: Projection>(
    projection: P,
    context: Context,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let bus = Bus::connect(&context.nats).await.map_err(RunError::Nats)?;
    let runner = Runner {
        projection,
        checks: Checks::new(&context.health),
        metrics: RunnerMetrics::register(&context.metrics),
        context,
        bus,
        shutdown,
    };
    let ended = runner.run().await;
    runner.bus.drain().await;
    ended
}

/// What lives as long as the process.
pub(crate) struct Runner<P> {
    pub(crate) projection: P,
    pub(crate) context: Context,
    pub(crate) checks: Checks,
    pub(crate) metrics: RunnerMetrics,
    pub(crate) bus: Bus,
    pub(crate) shutdown: CancellationToken,
}

/// Why a session on Postgres ended.
#[derive(Debug)]
pub(crate) enum Stop {
    /// We were asked to.
    Shutdown,
    /// It broke, or another process leads: begin anew.
    Store(StoreError),
    /// Waiting mends nothing.
    Halt(RunError),
}

impl Stop {
    /// Sorts an error that ended a session.
    pub(crate) fn of<P: Projection>(error: StoreError) -> Self {
        if error.kind() == Kind::Schema {
            Self::Halt(RunError::of_schema(P::NAME, error))
        } else {
            Self::Store(error)
        }
    }
}

impl<P: Projection> Runner<P> {
    /// Name of consumer and lock.
    pub(crate) fn name(&self) -> &str {
        self.context.runner.name(P::NAME)
    }

    async fn run(&self) -> Result<(), RunError> {
        let mut backoff = self.backoff();
        loop {
            let stop = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => Stop::Shutdown,
                opened = self.open(&backoff) => match opened {
                    Ok(connection) => self.hold(connection, &mut backoff).await,
                    Err(stop) => stop,
                },
            };
            self.metrics.leading(false);
            match stop {
                Stop::Shutdown => return Ok(()),
                Stop::Halt(error) => return Err(error),
                // Whoever fills a generation aside can make room, or do without it; the tables in use wait for room.
                Stop::Store(source) if source.is_full() && self.context.runner.aside.is_some() => {
                    return Err(RunError::Full { projection: P::NAME, source });
                }
                Stop::Store(error) => self.note_lost(&error),
            }
            self.pause(&mut backoff).await;
        }
    }

    /// A session on a migrated schema.
    async fn open(&self, backoff: &Backoff) -> Result<Connection, Stop> {
        let name = format!("hookstream-{}", self.name().replace('_', "-"));
        let opening = Connection::open(&self.context.postgres, &name);
        let mut connection = within(SESSION_TIMEOUT, opening).await.map_err(|error| Stop::of::<P>(error))?;
        let migrating = migrate(&mut connection, &[P::MIGRATIONS]);
        let applied = within(MIGRATION_TIMEOUT, migrating).await.map_err(|error| Stop::of::<P>(error))?;
        for migration in applied {
            tracing::info!(migration = %migration, "applied migration {migration}");
        }
        let planning = connection.plan_for_lookups();
        within(SESSION_TIMEOUT, planning).await.map_err(|error| Stop::of::<P>(error))?;
        // After a failure, a session that opens is not enough: it shall do something first.
        if backoff.pauses() == 0 {
            self.checks.postgres.pass();
        }
        Ok(connection)
    }

    /// Leads, or stands by until nobody does and leads then.
    async fn hold(&self, connection: Connection, backoff: &mut Backoff) -> Stop {
        match self.stand_by(&connection).await {
            Ok(true) => {}
            Ok(false) => return Stop::Shutdown,
            Err(error) => return Stop::of::<P>(error),
        }
        tracing::info!(projection = P::NAME, "leading {}", P::NAME);
        self.metrics.leading(true);
        let mut leader = Leader::new(self, connection);
        let stop = {
            // A task of its own, so that it does not wait while a batch is computed.
            let is_in_use = self.context.runner.aside.is_none();
            let alongside = is_in_use.then(|| self.projection.alongside(&self.context, &self.bus)).flatten();
            let _running = alongside.map(|task| AbortOnDropHandle::new(tokio::spawn(task)));
            leader.lead(backoff).await
        };
        let connection = leader.into_connection();
        if matches!(stop, Stop::Shutdown) {
            // Fails only if the session is gone, and the lock with it.
            let _ = within(Duration::from_secs(1), leadership::unlock(&connection, self.name())).await;
        }
        stop
    }

    /// Waits for the lock; false on shutdown.
    async fn stand_by(&self, connection: &Connection) -> Result<bool, StoreError> {
        let mut announced = false;
        loop {
            if within(SESSION_TIMEOUT, leadership::try_lock(connection, self.name())).await? {
                self.checks.leadership.pass();
                return Ok(true);
            }
            if !announced {
                tracing::info!(projection = P::NAME, "standing by: another process leads {}", P::NAME);
                announced = true;
            }
            self.checks_of_standby();
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(false),
                () = tokio::time::sleep(around(self.context.runner.standby_poll)) => {}
            }
        }
    }

    /// A standby is ready when it could take over; the stream is the leader's business.
    fn checks_of_standby(&self) {
        self.checks.leadership.pass();
        self.checks.postgres.pass();
        self.checks.stream.pass();
        if self.bus.is_connected() {
            self.checks.nats.pass();
        } else {
            self.checks.nats.fail(BusError::Disconnected(self.bus.problem()).to_string());
        }
    }

    fn note_lost(&self, error: &StoreError) {
        let reason = error.chain();
        if error.kind() == Kind::Fenced {
            tracing::warn!(projection = P::NAME, "gave up leading {}: {reason}", P::NAME);
            self.checks.leadership.fail(reason);
        } else {
            self.metrics.failed("postgres");
            self.checks.postgres.fail(reason);
        }
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.context.runner.backoff_min, self.context.runner.backoff_max)
    }

    /// Waits as the back-off has it, or until shutdown.
    pub(crate) async fn pause(&self, backoff: &mut Backoff) {
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}

/// Bounds what is asked of Postgres on our clock: the server's timeouts do not help where the line is silent.
pub(crate) async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let timed_out = StoreError::TimedOut { seconds: limit.as_secs() };
    tokio::time::timeout(limit, asked).await.unwrap_or(Err(timed_out))
}
