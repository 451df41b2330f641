//! The backend: read models over HTTP.
//!
//! Every answer comes from one query on Postgres. A 5xx tells its caller nothing but a title (see [`Problem`]), and
//! the backend has nothing to lose: while Postgres is away it answers 503, and goes on when it is back.
//!
//! Commands become internal events: validated as the gateway would, appended to the stream, answered once they are
//! durable. Live events are read from the stream itself, by sequence, so that none is passed over.
//!
//! **Invariant:** it writes to no table.

mod api;
mod caller;
mod commands;
mod cursor;
mod database;
mod freshness;
mod live;
mod metrics;
mod page;
mod parameters;
mod problem;
mod readiness;
mod values;
mod why;

use anyhow::Context as _;
use axum::Router;
use hookstream_bus::{Bus, NatsSettings, Publisher};
use hookstream_runtime::admin::Admin;
use hookstream_runtime::http::{Counts, ErrorShape, GraceExpired, Limits, serve_counted};
use hookstream_store::PgSettings;
use hyper_util::service::TowerToHyperService;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use api::paths;
use caller::Token;
use commands::PUBLISH_BUDGET;
use database::Database;
use freshness::Freshness;
use live::Live;
pub use problem::Problem;

/// Role in nats.conf.
pub const ROLE: &str = "backend";

/// The stream that commands go to, and that live events and projections are read from.
const STREAM: &str = "WEBHOOKS";

/// The backend, connected. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Backend {
    database: Database,
    freshness: Freshness,
    bus: Bus,
    publisher: Publisher,
    live: Live,
    /// Of the commands; none, no commands.
    token: Option<Token>,
    admin: Admin,
}

impl Backend {
    /// Connects. Neither NATS nor Postgres needs to be there yet; both are waited for as long as it takes.
    pub async fn connect(nats: &NatsSettings, postgres: PgSettings, admin: Admin) -> anyhow::Result<Self> {
        let bus = Bus::connect(nats).await.context("connect to NATS")?;
        let database = Database::new(postgres);
        Ok(Self {
            freshness: Freshness::new(database.clone(), bus.clone()),
            publisher: bus.publisher(PUBLISH_BUDGET),
            live: Live::new(bus.clone()),
            token: None,
            database,
            bus,
            admin,
        })
    }

    /// Takes commands from whoever has this token. Without one, every command is refused.
    #[must_use]
    pub fn with_token(self, token: Option<&SecretString>) -> Self {
        Self { token: token.map(|token| Token::new(token.expose_secret())), ..self }
    }

    /// Serves the API and the pages for health and metrics until `shutdown`.
    pub async fn serve(
        self,
        listener: TcpListener,
        limits: Limits,
        shutdown: CancellationToken,
    ) -> Result<(), GraceExpired> {
        let limits = Limits { errors: ErrorShape::Problem, ..limits };
        let counts = Counts::register(&self.admin.metrics);
        let live = self.live.clone();
        let service = TowerToHyperService::new(self.router());
        // Live events end with the shutdown, or their clients would hold up the drain.
        let (served, ()) = tokio::join!(
            serve_counted(listener, limits, counts, service, shutdown.clone()),
            live.follow_until(shutdown)
        );
        served
    }

    /// Keeps the readiness checks `postgres` and `nats` up to date until `shutdown`.
    pub async fn watch(self, shutdown: CancellationToken) {
        readiness::watch(&self.database, &self.bus, &self.admin.health, &shutdown).await;
    }

    fn router(self) -> Router {
        api::router(self)
    }
}
