//! `hookstream up`: everything on this machine, in the foreground.
//!
//! A private nats-server and Postgres, the streams and tables, then the five services, all as child processes that die
//! with this one. A child that dies is started again; a stop goes from the gateway backwards, so that nothing is
//! accepted that could not be stored.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use hookstream_bus::topology::{Change, Topology};
use hookstream_bus::{Bus, NatsSettings};
use hookstream_runtime::{Settings, process};
use hookstream_store::{Connection, MigrationSet, PgSettings, migrate};
use tokio_util::sync::CancellationToken;

use crate::env_file;
use crate::output::{self, progress};
use crate::provision;
use crate::settings::data_dir;

mod addresses;
mod data_dir;
mod demo;
mod keeper;
mod logs;
mod ready;
mod secrets;
mod servers;
mod services;

use addresses::Addresses;
use data_dir::DataDir;
use keeper::Stack;
use secrets::Secrets;
use servers::Servers;

/// The tables of all projections.
pub(crate) const MIGRATIONS: [&MigrationSet; 3] =
    [&hookstream_phase_queue::MIGRATIONS, &hookstream_task_log::MIGRATIONS, &hookstream_audit::MIGRATIONS];

/// How long NATS may take to accept our connection, once it serves.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Run everything on this machine: NATS, Postgres and all services, in the foreground until Ctrl-C.
///
/// The first start creates the data directory with its secrets; later ones reuse it. When all is ready, one line that
/// begins with `ready` goes to standard output, and <data dir>/connection.env holds, as lines that a shell can source:
/// NATS_URL (role operator), NATS_SUBSCRIBER_URL and NATS_WORKER_URL (those roles), NATS_MONITOR_URL, DATABASE_URL,
/// GATEWAY_URL, BACKEND_URL, <PROJECTION>_METRICS_URL, GITHUB_WEBHOOK_SECRET, INTERNAL_WEBHOOK_SECRET,
/// HOOKSTREAM_API_TOKEN, and for `hookstream audit` HOOKSTREAM_AUDIT_PUBLIC_KEYS and HOOKSTREAM_AUDIT_CHECKPOINT_PATH.
///
/// Logs are in <data dir>/logs; what services report as errors comes to standard error, too. A process that dies is
/// started again. Health and metrics of the three projections are on HOOKSTREAM_METRICS_ADDR (127.0.0.1:9101 unless
/// set) and the two ports above it. Port 0 takes a free port for any address.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 after Ctrl-C, SIGTERM, or --exit if all of the demo arrived and its plan completed; 1 if the start or the demo failed; 2 for
wrong settings.

Examples:
  hookstream up
  hookstream up --demo --exit --data-dir /tmp/try
  hookstream up --gateway-addr 0.0.0.0:8001 --github-webhook-secret-file /etc/hookstream/github
  . .data/connection.env && nats --server \"$NATS_SUBSCRIBER_URL\" sub 'webhooks.*'")]
pub(crate) struct Args {
    /// Once ready, send signed sample webhooks through the gateway, print the rows each became, and run a plan
    #[arg(long)]
    demo: bool,
    /// Stop everything once ready and, with --demo, once the demo is over
    #[arg(long)]
    exit: bool,
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    process::cancel_on_signal(stop.clone()).context("listen for signals")?;
    let mut stack = Stack::default();
    let outcome = tokio::select! {
        biased;
        outcome = serve(&args, settings, &mut stack, &stop) => outcome,
        // Only before it is ready: afterwards `serve` sees it first and ends well.
        () = stop.cancelled() => {
            progress("interrupted");
            Ok(ExitCode::FAILURE)
        }
    };
    stack.stop().await;
    outcome
}

async fn serve(
    args: &Args,
    settings: &Settings,
    stack: &mut Stack,
    stop: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let data_dir = DataDir::open(&data_dir(settings))?;
    let secrets = Secrets::load(&data_dir, settings)?;
    servers::wait_for_predecessor(&data_dir).await?;
    let addresses = Addresses::choose(settings)?;
    let (servers, nats, postgres) = servers::start(&data_dir, &secrets, &addresses, settings).await?;
    stack.keep_server(nats);
    stack.keep_server(postgres);
    make_streams(&servers).await?;
    migrate_all(&servers).await?;
    for service in services::all(&data_dir, &secrets, &addresses, &servers, settings)? {
        stack.keep_service(service)?;
    }
    ready::wait(stack, &addresses, &data_dir).await?;
    let path = data_dir.path().join(env_file::CONNECTION);
    let mut connection = connection(&addresses, &secrets, &servers).to_vec();
    connection.push(("HOOKSTREAM_AUDIT_PUBLIC_KEYS", secrets.audit_public_key()?));
    connection.push((services::CHECKPOINT_FILE, services::checkpoint_file(&data_dir, settings)));
    env_file::write(&path, "Where `hookstream up` is reached. Written at each start.", &connection)?;
    output::line(format_args!(
        "ready: gateway {}, backend {}, nats {}, postgres {}, secrets in {}",
        addresses::url(addresses.gateway),
        addresses::url(addresses.backend),
        servers.nats_addr,
        servers.postgres_addr,
        path.display()
    ))?;
    let mut code = ExitCode::SUCCESS;
    if args.demo {
        let arrived = demo::run(&data_dir, &addresses, &secrets, &servers).await?;
        code = if arrived { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if !args.exit {
        progress("Ctrl-C stops it");
        stop.cancelled().await;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(code)
}

/// Makes the streams and consumers, and brings those of an older version up to date.
async fn make_streams(servers: &Servers) -> anyhow::Result<()> {
    let settings = NatsSettings::new(&servers.operator_url, "operator")?;
    let bus = Bus::connect(&settings).await.context("connect to NATS")?;
    bus.wait_connected(CONNECT_WITHIN).await.context("connect to NATS")?;
    let topology = Topology::embedded();
    let differences = topology.plan(&bus).await.context("compare the streams with schemas/streams")?;
    let remaining = provision::apply(&bus, &topology, &differences).await.context("make the streams")?;
    // What is made needs no word; what an operator had changed is theirs to know of.
    for difference in differences.iter().filter(|difference| difference.change != Change::Missing) {
        let outcome = if remaining.contains(difference) { "left as it is" } else { "changed" };
        progress(format_args!("{outcome}: {difference}"));
    }
    bus.drain().await;
    Ok(())
}

async fn migrate_all(servers: &Servers) -> anyhow::Result<()> {
    let settings = PgSettings::from_url(&servers.database_url)?;
    let mut client = Connection::open(&settings, "hookstream-up").await?;
    let applied = migrate(&mut client, &MIGRATIONS).await.context("migrate the database")?;
    if !applied.is_empty() {
        progress(format_args!("{} migrations applied", applied.len()));
    }
    Ok(())
}

/// The lines of connection.env.
fn connection(addresses: &Addresses, secrets: &Secrets, servers: &Servers) -> [(&'static str, String); 13] {
    [
        ("NATS_URL", servers.operator_url.clone()),
        ("NATS_SUBSCRIBER_URL", servers.subscriber_url.clone()),
        ("NATS_WORKER_URL", servers.worker_url.clone()),
        ("NATS_MONITOR_URL", servers.monitor_url.clone()),
        ("DATABASE_URL", servers.database_url.clone()),
        ("GATEWAY_URL", addresses::url(addresses.gateway)),
        ("BACKEND_URL", addresses::url(addresses.backend)),
        ("PHASE_QUEUE_METRICS_URL", addresses::url(addresses.phase_queue)),
        ("TASK_LOG_METRICS_URL", addresses::url(addresses.task_log)),
        ("AUDIT_METRICS_URL", addresses::url(addresses.audit)),
        ("GITHUB_WEBHOOK_SECRET", secrets::text(&secrets.github)),
        ("INTERNAL_WEBHOOK_SECRET", secrets::text(&secrets.internal)),
        ("HOOKSTREAM_API_TOKEN", secrets::text(&secrets.api_token)),
    ]
}
