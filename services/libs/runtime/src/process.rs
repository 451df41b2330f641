//! The life of a process: logging, start, signals, work, drain, exit code.

use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{ProcessInfo, Settings, Supervisor, exit, log};

/// How often a busy worker looks for what has come, in tasks polled. By default it lets the ack that everybody waits for lie
/// behind 61 bodies that have to be verified, some milliseconds.
const EVENT_INTERVAL: u32 = 8;

/// Runs a process to its end.
///
/// `start` binds and connects, and gives its tasks to the supervisor. SIGTERM or SIGINT cancels
/// [`Supervisor::shutdown`]; a second one ends the process at once. The exit code is 0 if all tasks ended in time, 1 if
/// the start or a task failed or the grace period ran out, 2 if a setting is wrong.
pub fn run(
    info: &ProcessInfo,
    settings: &Settings,
    start: impl AsyncFnOnce(&mut Supervisor) -> anyhow::Result<()>,
) -> ExitCode {
    let grace = match log::init(settings).and_then(|()| settings.duration("HOOKSTREAM_SHUTDOWN_GRACE")) {
        Ok(grace) => grace,
        Err(error) => return exit::bad_config(&error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return exit::failed("start the runtime", &error.into()),
    };
    let name = info.name;
    let code = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        if let Err(error) = cancel_on_signal(shutdown.clone()) {
            return exit::failed("listen for signals", &error.into());
        }
        let mut supervisor = Supervisor::new(shutdown.clone(), grace);
        let started = tokio::select! {
            started = start(&mut supervisor) => started,
            () = shutdown.cancelled() => return ExitCode::SUCCESS,
        };
        if let Err(error) = started {
            // The caller of a process that was given a wrong setting learns so from its exit code.
            let settings = error.chain().any(<dyn std::error::Error + 'static>::is::<crate::SettingsError>);
            let code = exit::failed(&format!("start {name}"), &error);
            return if settings { ExitCode::from(2) } else { code };
        }
        tracing::info!(version = info.version, "started {name}");
        match supervisor.run().await {
            Ok(()) => {
                tracing::info!("stopped {name}");
                ExitCode::SUCCESS
            }
            Err(error) => exit::failed(&format!("run {name}"), &error.into()),
        }
    });
    // What still runs is a blocking call, such as a name look-up; it holds nothing that matters.
    runtime.shutdown_background();
    code
}

/// The runtime of a process, with a thread for each core.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().event_interval(EVENT_INTERVAL).build()
}

/// Cancels the token at the first SIGTERM or SIGINT; ends the process at the second.
pub fn cancel_on_signal(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Lives as long as the process: it has nothing to clean up.
    tokio::spawn(async move {
        let first = next(&mut terminate, &mut interrupt).await;
        tracing::info!("{first}: stopping");
        shutdown.cancel();
        let second = next(&mut terminate, &mut interrupt).await;
        tracing::warn!("{second} again: stopping at once");
        std::process::exit(1);
    });
    Ok(())
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
