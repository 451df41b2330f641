use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hookstream_bus::Bus;
use hookstream_projection::{Alongside, Applied, ApplyError, ClaimedEvent, Context, Projection, Refused};
use hookstream_runtime::{Settings, SettingsError};
use hookstream_store::{MigrationSet, Transaction};

use crate::github::{Commands, Rules};
use crate::intake::{self, Intake};
use crate::relay::{Bell, Relay, RelayMetrics};
use crate::{Concerns, Effect, Moment, Step, Unchanged, rows};

/// Name of the setting that holds the bot marker.
pub const BOT_MARKER: &str = "HOOKSTREAM_BOT_MARKER";

/// Name of the setting that holds the pattern of workflow commands, a regular expression.
pub const COMMAND_PATTERN: &str = "HOOKSTREAM_COMMAND_PATTERN";

/// Name of the setting that says how long an announced phase may wait to begin.
pub const PHASE_LEASE: &str = "HOOKSTREAM_PHASE_LEASE";

/// How long it may wait unless set otherwise.
const LEASE: Duration = Duration::from_mins(15);

/// Anything shorter announces phases faster than a worker can answer.
const LEASE_MIN: Duration = Duration::from_secs(1);

/// The tables of the phase queue.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    name: "phase_queue",
    migrations: &[(
        "0001_phase_queue",
        include_str!("../../../schemas/postgres/phase_queue/0001_phase_queue.sql"),
    )],
};

/// The projection: which phase of which plan may run.
#[derive(Debug, Clone)]
pub struct PhaseQueue {
    rules: Rules,
    lease: Duration,
    bell: Bell,
    metrics: Arc<OnceLock<RelayMetrics>>,
}

impl Default for PhaseQueue {
    fn default() -> Self {
        Self::new(None)
    }
}

impl PhaseQueue {
    /// A projection that passes over issues and comments that hold `bot_marker`.
    pub fn new(bot_marker: Option<String>) -> Self {
        let bot_marker = bot_marker.filter(|marker| !marker.is_empty());
        let rules = Rules { commands: Commands::default(), bot_marker };
        Self { rules, lease: LEASE, bell: Bell::default(), metrics: Arc::default() }
    }

    /// The same, but a phase that nobody begins within `lease` of its announcement is announced again.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// The same, as the settings have it.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let lease = settings.duration(PHASE_LEASE)?;
        if lease < LEASE_MIN {
            return Err(settings.invalid(PHASE_LEASE, "must be a second at least"));
        }
        let mut queue = Self::new(settings.get(BOT_MARKER)).with_lease(lease);
        if let Some(pattern) = settings.get(COMMAND_PATTERN) {
            let commands = Commands::new(&pattern);
            queue.rules.commands =
                commands.map_err(|error| settings.invalid(COMMAND_PATTERN, error.to_string()))?;
        }
        Ok(queue)
    }

    /// Reads each event; what cannot be read is refused.
    fn read(&self, batch: &[ClaimedEvent]) -> (Vec<Taken>, Vec<Refused>) {
        let (mut steps, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
        for ClaimedEvent { event, .. } in batch {
            let stream_sequence = event.stream_sequence;
            match intake::read(event, &self.rules) {
                Intake::Step(step) => {
                    // Sequences count from 1 and end far below 2^63.
                    let position = i64::try_from(stream_sequence).unwrap_or(i64::MAX);
                    let event_id = event.envelope.id.to_string();
                    steps.push(Taken {
                        step,
                        moment: Moment { position, at: event.recorded_at },
                        stream_sequence,
                        event_id,
                    });
                }
                Intake::Irrelevant => {}
                Intake::Unreadable(invalid) => {
                    let (reason, error) = (invalid.code(), invalid.to_string());
                    refused.push(Refused { stream_sequence, reason, error });
                }
            }
        }
        (steps, refused)
    }
}

/// A step, and the event that it comes from.
struct Taken {
    step: Step,
    moment: Moment,
    stream_sequence: u64,
    event_id: String,
}

impl Projection for PhaseQueue {
    const NAME: &'static str = "phase_queue";
    const MIGRATIONS: &'static MigrationSet = &MIGRATIONS;
    const ORIGINS: &'static [(&'static str, &'static str)] = &[("phase_queue", "queue_position")];
    const CARRIED: &'static [&'static str] = &["phase_outbox"];

    fn alongside(&self, context: &Context, bus: &Bus) -> Option<Alongside> {
        let metrics = self.metrics.get_or_init(|| RelayMetrics::register(&context.metrics)).clone();
        Some(Box::pin(Relay::new(context, bus, self.bell.clone(), self.lease, metrics).run()))
    }

    fn committed(&self, behind: bool) {
        self.bell.ring(behind);
    }

    async fn apply(&self, tx: &Transaction<'_>, batch: &[ClaimedEvent]) -> Result<Applied, ApplyError> {
        let (steps, mut refused) = self.read(batch);
        let mut concerns = Concerns::default();
        for taken in &steps {
            concerns.include(&taken.step);
        }
        if !concerns.any {
            return Ok(Applied { refused });
        }
        let mut queue = rows::load(tx, &concerns).await?;
        for Taken { step, moment, stream_sequence, event_id } in steps {
            match queue.apply(step, moment) {
                Ok(Effect::Changed) => {}
                Ok(Effect::Unchanged(why)) => log_unchanged(&event_id, stream_sequence, &why),
                Err(refusal) => {
                    let (reason, error) = (refusal.code(), refusal.to_string());
                    refused.push(Refused { stream_sequence, reason, error });
                }
            }
        }
        rows::write(tx, &queue).await?;
        Ok(Applied { refused })
    }
}

fn log_unchanged(event_id: &str, stream_sequence: u64, why: &Unchanged) {
    if matches!(why, Unchanged::Unfinished { .. }) {
        // Somebody may wait for what they asked for on GitHub.
        tracing::info!(event.id = event_id, stream_sequence, "event {event_id} enqueues nothing: {why}");
    } else {
        tracing::debug!(event.id = event_id, stream_sequence, "event {event_id} changes nothing: {why}");
    }
}
