//! The backend: read models over HTTP.
//!
//! Every answer comes from one query on Postgres. A 5xx tells its caller nothing but a title (see [`Problem`]), and
//! the backend has nothing to lose: while Postgres is away it answers 503, and goes on when it is back.
//!
//! **Invariant:** it writes to no table.

mod api;
mod cursor;
mod database;
mod freshness;
mod metrics;
mod page;
mod parameters;
mod problem;
mod readiness;
mod values;

use anyhow::Context as _;
use axum::Router;
use hookstream_bus::{Bus, NatsSettings};
use hookstream_runtime::admin::Admin;
use hookstream_runtime::http::{Counts, ErrorShape, GraceExpired, Limits, serve_counted};
use hookstream_store::PgSettings;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use database::Database;
use freshness::Freshness;
pub use problem::Problem;

/// Role in nats.conf.
pub const ROLE: &str = "backend";

/// The backend, connected. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Backend {
    database: Database,
    freshness: Freshness,
    bus: Bus,
    admin: Admin,
}

impl Backend {
    /// Connects. Neither NATS nor Postgres needs to be there yet; both are waited for as long as it takes.
    pub async fn connect(nats: &NatsSettings, postgres: PgSettings, admin: Admin) -> anyhow::Result<Self> {
        let bus = Bus::connect(nats).await.context("connect to NATS")?;
        let database = Database::new(postgres);
        Ok(Self { freshness: Freshness::new(database.clone(), bus.clone()), database, bus, admin })
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
        serve_counted(listener, limits, counts, TowerToHyperService::new(self.router()), shutdown).await
    }

    /// Keeps the readiness checks `postgres` and `nats` up to date until `shutdown`.
    pub async fn watch(self, shutdown: CancellationToken) {
        readiness::watch(&self.database, &self.bus, &self.admin.health, &shutdown).await;
    }

    fn router(self) -> Router {
        api::router(self)
    }
}
