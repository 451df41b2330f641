//! What `hookstream bench` measures a gateway against: processes that do less of the same.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use clap::ValueEnum;
use hookstream_bus::{PublishError, Receipt};
use hookstream_event::Header;
use hookstream_gateway::Sink;
use hookstream_runtime::{ProcessInfo, Settings, Supervisor, http, process};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;

const INFO: ProcessInfo = ProcessInfo {
    name: "hookstream-gateway",
    about: "Stands in for a gateway while it is measured.",
    version: env!("CARGO_PKG_VERSION"),
};

/// What a stand-in does with a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Does {
    /// Reads it and answers 202.
    Answer,
    /// All that a gateway does but store it.
    Verify,
}

/// Stands in for a gateway until told to stop: the process that the benchmark starts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(value_enum)]
    does: Does,
}

/// Runs it, with settings, log and runtime of a gateway.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let shutdown = CancellationToken::new();
    process::cancel_on_signal(shutdown.clone())?;
    let mut supervisor = Supervisor::new(shutdown, settings.duration("HOOKSTREAM_SHUTDOWN_GRACE")?);
    match args.does {
        Does::Answer => answer(settings, &mut supervisor).await?,
        Does::Verify => {
            let sink = |_: &_| Nowhere(AtomicU64::new(0));
            hookstream_gateway::start_into(&INFO, settings, &mut supervisor, sink).await?;
        }
    }
    supervisor.run().await?;
    Ok(ExitCode::SUCCESS)
}

async fn answer(settings: &Settings, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    const RECEIPT: &[u8] = br#"{"status":"accepted","event_id":"none","stream":"none","sequence":0}"#;
    let limits = http::Limits::read(settings)?;
    let listener = http::bind(settings, "HOOKSTREAM_GATEWAY_ADDR").await?;
    let service = service_fn(async |request: Request<Incoming>| {
        let read = request.into_body().collect().await;
        let mut response = Response::new(Full::new(Bytes::from_static(RECEIPT)));
        *response.status_mut() = if read.is_ok() { StatusCode::ACCEPTED } else { StatusCode::BAD_REQUEST };
        Ok::<_, Infallible>(response)
    });
    let shutdown = supervisor.shutdown();
    supervisor.spawn("http", async move {
        http::serve(listener, limits, service, shutdown).await.context("serve")
    });
    Ok(())
}

/// Keeps nothing.
#[derive(Debug)]
struct Nowhere(AtomicU64);

impl Sink for Nowhere {
    async fn store(&self, _: String, _: Vec<Header>, _: Bytes) -> Result<Receipt, PublishError> {
        let sequence = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Receipt { stream: "WEBHOOKS".to_owned(), sequence, duplicate: false })
    }
}
