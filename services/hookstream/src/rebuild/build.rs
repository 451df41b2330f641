//! Filling a generation: the projection's own runner, on another schema and another consumer.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hookstream_bus::NatsSettings;
use hookstream_projection::{Context, Projection, RunError, RunnerSettings, run, runner_settings};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::checkpoint::{self, Checkpoint};
use hookstream_store::generation::Generation;
use hookstream_store::{Connection, leadership};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::plan::Plan;
use super::{SESSION, STEP, Work};
use crate::pace::Meter;
use crate::stop;

/// The stream of events.
pub(super) const STREAM: &str = "WEBHOOKS";

/// How near to the live tables counts as caught up, in events: the rest is applied while those are held.
pub(super) const NEAR: u64 = 1000;

/// How often the progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A run that fills a generation. Ends when dropped, at the latest.
pub(super) struct Builder {
    task: JoinHandle<Result<(), RunError>>,
    shutdown: CancellationToken,
    _guard: DropGuard,
}

impl Builder {
    /// Ends it after the batch in hand.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.finished().await
    }

    /// Waits until it ends by itself.
    pub(super) async fn finished(self) -> anyhow::Result<()> {
        let ended = self.task.await.context("the run broke off")?;
        ended.map_err(|error| match error {
            RunError::Full { .. } => anyhow::Error::new(error).context(
                "fill the new generation: make room on the disk of Postgres, then the same command goes on where it was; \
                 --drop drops what was built",
            ),
            error => anyhow::Error::new(error).context("fill the new generation"),
        })
    }
}

impl<P: Projection, F: Fn() -> anyhow::Result<P>> Work<'_, F> {
    /// Fills `next` until it is near the stream's end; where nobody follows the stream with the tables in use, to where
    /// those stand.
    pub(super) async fn build(&self, next: &Generation, plan: &Plan) -> anyhow::Result<()> {
        let mut stop = stop::signals()?;
        Self::topology().ensure_twin(&self.bus, P::NAME, &next.schema()).await?;
        let builder = self.start(next, self.standing(plan).await?)?;
        let other = self.other_session(next).await?;
        let mut meter: Option<Meter> = None;
        let ended = loop {
            tokio::select! {
                biased;
                () = stop.wait() => break Err(anyhow::anyhow!(
                    "interrupted: the same command goes on where it was, --drop drops what was built"
                )),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if builder.task.is_finished() {
                break Ok(());
            }
            let last = self.bus.stream_state(STREAM).await?.last_sequence;
            let Some(Checkpoint { sequence, .. }) = self.position(&other).await? else { continue };
            let meter = meter.get_or_insert_with(|| Meter::new("rebuild", last, sequence));
            meter.total(last);
            meter.at(sequence);
            if sequence + NEAR >= last {
                break Ok(());
            }
        };
        if let Some(meter) = meter {
            meter.end();
        }
        // Its own error, if there is one, tells more.
        builder.stop().await?;
        ended
    }

    /// Where the tables in use stand, if nobody follows the stream with them now.
    async fn standing(&self, plan: &Plan) -> anyhow::Result<Option<u64>> {
        let is_ours = plan.live.stream_created == plan.stream.created
            && plan.live.sequence <= plan.stream.last_sequence;
        if !is_ours || !leadership::try_lock(&self.session, P::NAME).await? {
            return Ok(None);
        }
        leadership::unlock(&self.session, P::NAME).await?;
        Ok(Some(plan.live.sequence))
    }

    /// Starts to fill `next`, up to `until` if given.
    pub(super) fn start(&self, next: &Generation, until: Option<u64>) -> anyhow::Result<Builder> {
        let schema = next.schema();
        let nats = NatsSettings::read(&|name| self.settings.get(name), "operator")?;
        let usual = runner_settings(self.settings)?;
        let mut pull = usual.pull;
        // Whoever waits for it holds the live tables.
        pull.wait = Duration::from_millis(100);
        let runner = RunnerSettings { aside: Some(schema.clone()), until, pull, ..usual };
        let info = ProcessInfo {
            name: "hookstream-rebuild",
            about: "Fills another generation of a projection's tables",
            version: env!("CARGO_PKG_VERSION"),
        };
        let context = Context {
            nats,
            postgres: self.postgres.clone().with_schema(&schema),
            runner,
            health: Health::new(),
            metrics: Metrics::new(&info),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run((self.make)()?, context, shutdown.clone()));
        Ok(Builder { task, _guard: shutdown.clone().drop_guard(), shutdown })
    }

    /// A session on the new generation.
    pub(super) async fn other_session(&self, next: &Generation) -> anyhow::Result<Connection> {
        let settings = self.postgres.clone().with_schema(&next.schema());
        Ok(Connection::open(&settings, SESSION).await?)
    }

    /// Where the generation of `session` stands; `None` before its tables are made.
    pub(super) async fn position(&self, session: &Connection) -> anyhow::Result<Option<Checkpoint>> {
        let loading = tokio::time::timeout(STEP, checkpoint::load(&**session, P::NAME));
        match loading.await.context("read the checkpoint of the new generation")? {
            // Its tables are not made yet.
            Err(error) if error.sqlstate() == Some("42P01") => Ok(None),
            found => Ok(found?),
        }
    }

    /// Fills `next` up to `sequence` and no further, within `limit`.
    pub(super) async fn build_to(
        &self,
        next: &Generation,
        sequence: u64,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let builder = self.start(next, Some(sequence))?;
        let shutdown = builder.shutdown.clone();
        if tokio::time::timeout(limit, builder.finished()).await.map_err(|_| shutdown.cancel()).is_err() {
            bail!("the new generation did not come to {sequence} within {} s: try again", limit.as_secs());
        }
        Ok(())
    }
}
