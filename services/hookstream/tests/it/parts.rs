//! Parts of the pipeline within the test's process.

use std::net::SocketAddr;
use std::time::Duration;

use hookstream_audit::Audit;
use hookstream_bus::Bus;
use hookstream_gateway::{Config, Gateway};
use hookstream_projection::{Context, Projection as _, RunError, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo, Settings};
use hookstream_test_support::{GITHUB_SECRET, INTERNAL_SECRET, TestDatabase, TestNats};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Starts a gateway with these settings; returns where it listens.
pub(crate) async fn gateway(nats: &TestNats, pairs: &[(&str, &str)]) -> SocketAddr {
    let secrets = [("GITHUB_WEBHOOK_SECRET", GITHUB_SECRET), ("INTERNAL_WEBHOOK_SECRET", INTERNAL_SECRET)];
    let settings = Settings::from_pairs(secrets.iter().chain(pairs).copied());
    let bus = Bus::connect(&nats.settings("gateway")).await.unwrap();
    bus.wait_connected(Duration::from_secs(20)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let info = ProcessInfo { name: "hookstream-gateway", about: "", version: "0" };
    let gateway = Gateway::new(Config::read(&settings).unwrap(), bus, Health::new(), Metrics::new(&info));
    let refusing = gateway.clone();
    tokio::spawn(async move { refusing.publish_rejections().await });
    tokio::spawn(gateway.serve(listener, CancellationToken::new()));
    addr
}

/// The projection `audit` at work.
pub(crate) struct Auditing {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Auditing {
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
        let task = tokio::spawn(run(audit, context, shutdown.clone()));
        Self { shutdown, task }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}
