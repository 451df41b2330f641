//! `hookstream work`: takes phases that are ready, one at a time, runs a command for each, and reports.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hookstream_bus::{Bus, NatsSettings};
use hookstream_runtime::settings::duration_from_text;
use hookstream_runtime::{Settings, process};
use hookstream_signature::Key;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use crate::output::{self, Format, progress};
use crate::settings::{self, Usage};
use crate::{operator, queue};

mod announcement;
mod hold;
mod lock;
mod report;
mod run;
mod tail;
mod worker;

pub(crate) use report::Reporter;
pub(crate) use run::Command;
pub(crate) use worker::{Ended, Worker};

/// Role in nats.conf.
const ROLE: &str = "worker";

/// Take phases that are ready, one at a time, run a command for each, and report how it ended.
///
/// Phases come from the stream PHASES through a durable consumer, named by HOOKSTREAM_WORKER: workers of the same name
/// share the phases among them. For each phase the worker posts a signed phase.started to GATEWAY_URL, runs the command
/// with `sh -c` in a process group of its own, and posts workflow.completed: completed if the exit code is 0, else failed
/// with the end of what the command wrote to standard error.
///
/// The command gets the phase as JSON on standard input, and as environment variables: HOOKSTREAM_QUEUE_ID,
/// HOOKSTREAM_PARENT_ISSUE, HOOKSTREAM_PHASE_NUMBER, HOOKSTREAM_ISSUE_NUMBER, HOOKSTREAM_PRIORITY, HOOKSTREAM_ADW_ID,
/// HOOKSTREAM_WORKFLOW_TYPE, HOOKSTREAM_ANNOUNCEMENT and HOOKSTREAM_ATTEMPT. It gets no secret and no setting of NATS or
/// Postgres. What it prints goes to standard error.
///
/// A worker that dies leaves its phase to the next one (itself, started again, for example), HOOKSTREAM_WORK_LEASE after
/// it last said that it was alive: the command then runs again from its beginning, with HOOKSTREAM_ATTEMPT 2, and must be
/// able to. It never runs while the earlier run still does: on this machine a lock in HOOKSTREAM_DATA_DIR tells, and a worker
/// that cannot reach NATS for nearly that long ends its command.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
SIGTERM and Ctrl-C: no further phase is taken; a command that runs has HOOKSTREAM_SHUTDOWN_GRACE to end by itself, is
then ended, and its phase reported as failed.

Exit code: 0 after SIGTERM or Ctrl-C; with --once 0 if the phase completed and 1 if it failed; 1 if the gateway refuses
the worker's reports, or NATS its role; 2 for wrong usage or settings.

Examples:
  hookstream work --run './run-phase.sh'
  hookstream work --run 'jq -r .phase_data.title >&2' --once
  hookstream work --run 'make \"$HOOKSTREAM_WORKFLOW_TYPE\"' --timeout 2h --parent-issue 41")]
pub(crate) struct Args {
    /// What to run for each phase, by sh -c
    #[arg(long, value_name = "COMMAND")]
    run: String,
    /// End a command that takes longer, and report its phase as failed
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// End after one phase
    #[arg(long)]
    once: bool,
    /// Take phases of this issue's plan only, by a consumer of its own
    #[arg(long, value_name = "NUMBER", value_parser = queue::issue())]
    parent_issue: Option<i64>,
    /// How to print what became of each phase
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let command = command(&args, settings)?;
    let name = settings.get("HOOKSTREAM_WORKER").unwrap_or_default();
    if name.is_empty()
        || name.len() > 64
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    {
        bail!(settings.invalid("HOOKSTREAM_WORKER", "must be 1 to 64 of A-Z, a-z, 0-9, '_' and '-'"));
    }
    let secret = settings.required_secret("INTERNAL_WEBHOOK_SECRET")?;
    let key = Key::new("work", secret.expose_secret().as_bytes())?;
    let lease = settings.duration("HOOKSTREAM_WORK_LEASE")?;
    if !(Duration::from_secs(1)..=Duration::from_hours(24)).contains(&lease) {
        bail!(settings.invalid("HOOKSTREAM_WORK_LEASE", "must be from 1s to 24h"));
    }
    let stop = CancellationToken::new();
    process::cancel_on_signal(stop.clone()).context("listen for signals")?;
    let bus = connect(settings).await?;
    let worker = Worker {
        bus,
        reporter: Reporter::new(&settings.get("GATEWAY_URL").unwrap_or_default(), key),
        command,
        name,
        parent_issue: args.parent_issue,
        lease,
    };
    let mut last = None;
    let format = args.format;
    let outcome = worker
        .work(&stop, args.once, |ended| {
            last = Some(ended.is_completed());
            print(format, ended)
        })
        .await;
    worker.bus.drain().await;
    outcome?;
    Ok(if args.once && last == Some(false) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn command(args: &Args, settings: &Settings) -> anyhow::Result<Command> {
    if args.run.trim().is_empty() {
        bail!(Usage("--run needs a command".to_owned()));
    }
    let timeout = match &args.timeout {
        Some(text) => Some(
            duration_from_text(text)
                .ok_or_else(|| Usage(format!("--timeout must be a duration such as 30m, not {text:?}")))?,
        ),
        None => None,
    };
    Ok(Command {
        script: args.run.clone(),
        timeout,
        grace: settings.duration("HOOKSTREAM_SHUTDOWN_GRACE")?,
        locks: settings::data_dir(settings).join("work"),
    })
}

/// Connects as the worker: by `NATS_WORKER_URL`, which a running `up` gives, or else as the settings of NATS say.
async fn connect(settings: &Settings) -> anyhow::Result<Bus> {
    let lookup = |name: &str| match settings.get("NATS_WORKER_URL") {
        Some(url) if name == "NATS_URL" => Some(url),
        Some(_) if matches!(name, "NATS_USER" | "NATS_PASSWORD" | "NATS_CREDS" | "NATS_NKEY") => None,
        _ => settings.get(name),
    };
    operator::connect_as(ROLE, &NatsSettings::read(&lookup, ROLE)?).await
}

fn print(format: Format, ended: &Ended) -> anyhow::Result<()> {
    match format {
        Format::Json => output::line(ended.as_json()),
        Format::Table => {
            output::line(ended)?;
            if let Some(error) = ended.error.as_deref().and_then(|error| error.lines().next()) {
                progress(format_args!("{}: {error}", ended.phase.queue_id));
            }
            Ok(())
        }
    }
}
