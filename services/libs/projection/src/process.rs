use std::process::ExitCode;

use anyhow::Context as _;
use hookstream_bus::{NatsSettings, PullLimits};
use hookstream_runtime::admin::{self, Admin};
use hookstream_runtime::{Health, Metrics, ProcessInfo, Settings, SettingsError, exit, process};
use hookstream_store::PgSettings;

use crate::{Context, Projection, RunnerSettings, run};

/// The whole `main` of a projection process: settings, logs, health and metrics at `HOOKSTREAM_METRICS_ADDR`, [`run`]
/// until a signal, exit code 0 drained, 1 failed, 2 bad settings.
///
/// `build` makes the projection of its own settings.
pub fn main<P, E>(info: &ProcessInfo, build: impl FnOnce(&Settings) -> Result<P, E>) -> ExitCode
where
    P: Projection,
    E: std::error::Error,
{
    let settings = match Settings::load(info) {
        Ok(settings) => settings,
        Err(error) => return exit::bad_config(&error),
    };
    let projection = match build(&settings) {
        Ok(projection) => projection,
        Err(error) => return exit::bad_config(&error),
    };
    let context = match context::<P>(info, &settings) {
        Ok(context) => context,
        Err(error) => return exit::bad_config(error.as_ref()),
    };
    process::run(info, &settings, async |supervisor| {
        let admin = Admin { health: context.health.clone(), metrics: context.metrics.clone() };
        admin::spawn(supervisor, &settings, admin).await?;
        let shutdown = supervisor.shutdown();
        supervisor.spawn(P::NAME, async move { Ok(run(projection, context, shutdown).await?) });
        Ok(())
    })
}

/// What a runner works with, from the settings of its process.
pub fn context<P: Projection>(info: &ProcessInfo, settings: &Settings) -> anyhow::Result<Context> {
    let lookup = &|name: &str| settings.get(name);
    Ok(Context {
        nats: NatsSettings::read(lookup, P::NAME).context("NATS")?,
        postgres: PgSettings::read(lookup).context("Postgres")?,
        runner: runner_settings(settings)?,
        health: Health::new(),
        metrics: Metrics::new(info),
    })
}

/// How a runner behaves, from the settings of its process.
pub fn runner_settings(settings: &Settings) -> Result<RunnerSettings, SettingsError> {
    Ok(RunnerSettings {
        pull: PullLimits {
            messages: settings.parse("HOOKSTREAM_BATCH_MESSAGES_MAX")?,
            bytes: settings.parse("HOOKSTREAM_BATCH_BYTES_MAX")?,
            wait: settings.duration("HOOKSTREAM_BATCH_WAIT")?,
        },
        stall_after: settings.duration("HOOKSTREAM_STALL_TIMEOUT")?,
        ..RunnerSettings::default()
    })
}
