//! Verifies webhooks and appends each to the stream; knows no database.
//!
//! The journey of a request: `limits` says whether it comes too often, `route` finds whose endpoint it is, `body` reads it within bounds, `source` verifies the
//! exact bytes and only then parses them into an event, `replay` looks whether its body came before under another id,
//! `service` appends it to the stream and answers. Whatever
//! goes wrong on the way is a `Refusal`, which knows its status, what the caller is told and what the log is told;
//! `rejections` tells a stream of its own about it, aside.
//!
//! **Invariants:** 2xx is said only after the stream's ack. Nothing is parsed before its signature is verified. No
//! header of the request is copied to the message. Nothing here reaches Postgres.

mod body;
mod config;
mod limits;
mod metrics;
mod readiness;
mod refusal;
mod rejections;
mod replay;
mod respond;
mod route;
mod service;
mod sink;
mod source;
mod sources;

use anyhow::Context as _;
use hookstream_bus::{Bus, NatsSettings, Publisher};
use hookstream_runtime::admin::Admin;
use hookstream_runtime::http::{self, GraceExpired};
use hookstream_runtime::{Health, Metrics, ProcessInfo, Settings, SettingsError, Supervisor};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use body::BodyLimits;
pub use config::Config;
pub use limits::RateLimits;
pub use replay::{ReplayPolicy, ReplayWindow};
pub use sink::Sink;
pub use sources::{Archive, Doubt, KeyInfo, LiveSources, Sources, Verdict};

use rejections::Rejections;
use service::Service;

/// The stream that webhooks are appended to.
const STREAM: &str = "WEBHOOKS";

/// A gateway that has what it needs, and no listener yet.
#[derive(Debug, Clone)]
pub struct Gateway {
    config: Config,
    bus: Bus,
    admin: Admin,
    metrics: metrics::GatewayMetrics,
    rejections: Rejections,
}

impl Gateway {
    /// Puts a gateway together. `bus` need not be connected: until it is, webhooks are answered with 503 at once.
    pub fn new(config: Config, bus: Bus, health: Health, metrics: Metrics) -> Self {
        let own = metrics::GatewayMetrics::register(&metrics);
        let rejections = Rejections::new();
        Self { config, bus, admin: Admin { health, metrics }, metrics: own, rejections }
    }

    /// Appends events to the stream, as the configuration says. Must be called within a runtime.
    pub fn publisher(&self) -> Publisher {
        let alone = self.bus.publisher(self.config.publish_budget);
        match self.config.group_commit {
            Some(limits) => {
                let metrics = self.metrics.clone();
                alone.with_observed_group_commit(limits, move |commit| metrics.committed(commit))
            }
            None => alone,
        }
    }

    /// Serves until `shutdown`, then answers what is in flight and closes the connection to NATS.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), GraceExpired> {
        let publisher = self.publisher();
        self.serve_into(publisher, listener, shutdown).await
    }

    /// The same, with events going to `sink`.
    pub async fn serve_into(
        self,
        sink: impl Sink,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), GraceExpired> {
        let (limits, bus, rejections) = (self.config.http.clone(), self.bus.clone(), self.rejections.clone());
        let counts = http::Counts::register(&self.admin.metrics);
        let service = Service::new(self, sink, shutdown.clone());
        let drained = http::serve_counted(listener, limits, counts, service, shutdown).await;
        rejections.close().await;
        bus.drain().await;
        drained
    }

    /// Keeps sources and keys what `settings` and their files say, until `shutdown`: at SIGHUP, and when a file changes.
    pub async fn watch_sources(
        &self,
        settings: Settings,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        sources::reload::watch(settings, self.config.sources.clone(), &self.bus, shutdown).await
    }

    /// Keeps the checks of `/readyz` up to date until `shutdown`.
    pub async fn watch_readiness(&self, shutdown: CancellationToken) {
        readiness::watch(self, shutdown).await;
    }

    /// Publishes what was refused, until [`Gateway::serve`] has answered the last request.
    pub async fn publish_rejections(&self) {
        self.rejections.publish(&self.bus, &self.metrics).await;
    }
}

/// Reads the settings, binds, connects, and gives the supervisor the tasks of a gateway.
pub async fn start(
    info: &ProcessInfo,
    settings: &Settings,
    supervisor: &mut Supervisor,
) -> anyhow::Result<()> {
    start_into(info, settings, supervisor, Gateway::publisher).await
}

/// The same for a gateway whose events go to the sink that `sink` makes.
pub async fn start_into<S: Sink>(
    info: &ProcessInfo,
    settings: &Settings,
    supervisor: &mut Supervisor,
    sink: impl FnOnce(&Gateway) -> S,
) -> anyhow::Result<()> {
    let config = Config::read(settings)?;
    let nats = NatsSettings::read(&|name| settings.get(name), "gateway").map_err(SettingsError::refused)?;
    let listener = http::bind(settings, "HOOKSTREAM_GATEWAY_ADDR").await?;
    let bus = Bus::connect(&nats).await.context("connect to NATS")?;
    let gateway = Gateway::new(config, bus, Health::new(), Metrics::new(info));
    let address = listener.local_addr().context("ask for the listener's address")?;
    tracing::info!(%address, "listening on {address}");

    let (watched, shutdown) = (gateway.clone(), supervisor.shutdown());
    supervisor.spawn("readiness", async move {
        watched.watch_readiness(shutdown).await;
        Ok(())
    });
    let refusing = gateway.clone();
    supervisor.spawn("rejections", async move {
        refusing.publish_rejections().await;
        Ok(())
    });
    let (watched, again, shutdown) = (gateway.clone(), settings.clone(), supervisor.shutdown());
    supervisor.spawn("sources", async move { Ok(watched.watch_sources(again, shutdown).await?) });
    let (sink, shutdown) = (sink(&gateway), supervisor.shutdown());
    supervisor.spawn("http", async move { Ok(gateway.serve_into(sink, listener, shutdown).await?) });
    Ok(())
}
