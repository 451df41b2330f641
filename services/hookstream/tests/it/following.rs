//! The audit projection within the test's process.

use hookstream_audit::Audit;
use hookstream_projection::{Context, Projection as _, RunError, RunnerSettings};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_test_support::{TestDatabase, TestNats};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Follows until it is stopped.
pub(crate) struct Following(CancellationToken, JoinHandle<Result<(), RunError>>);

impl Following {
    pub(crate) fn start(nats: &TestNats, database: &TestDatabase, audit: Audit) -> Self {
        let info = ProcessInfo { name: "hookstream-audit", about: "", version: "0" };
        let context = Context {
            nats: nats.settings(Audit::NAME),
            postgres: database.settings(),
            runner: RunnerSettings::default(),
            health: Health::new(),
            metrics: Metrics::new(&info),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(hookstream_projection::run(audit, context, shutdown.clone()));
        Self(shutdown, task)
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.0.cancel();
        Ok(self.1.await??)
    }
}
