//! nats-server and Postgres as child processes.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use hookstream_local::process::Process;
use hookstream_local::{NatsOptions, NatsServer, PostgresOptions, PostgresServer};
use hookstream_runtime::Settings;
use tokio::task::spawn_blocking;

use super::addresses::Addresses;
use super::data_dir::DataDir;
use super::keeper::Keep;
use super::logs;
use super::secrets::{Secrets, text};
use crate::output::progress;

/// Where the two servers are.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    pub(super) nats_addr: SocketAddr,
    /// With user and password, as all URLs here.
    pub(super) operator_url: String,
    pub(super) subscriber_url: String,
    pub(super) worker_url: String,
    pub(super) monitor_url: String,
    pub(super) postgres_addr: SocketAddr,
    pub(super) database_url: String,
}

/// Waits until the Postgres of an `up` that was killed has ended, and given up its port. The kernel ends the others at
/// once.
pub(super) async fn wait_for_predecessor(data_dir: &DataDir) -> anyhow::Result<()> {
    let postgres = postgres_dir(data_dir);
    Ok(spawn_blocking(move || PostgresServer::wait_for_predecessor(&postgres)).await??)
}

fn postgres_dir(data_dir: &DataDir) -> PathBuf {
    data_dir.path().join("postgres")
}

/// Starts both at once and waits until they serve.
pub(super) async fn start(
    data_dir: &DataDir,
    secrets: &Secrets,
    addresses: &Addresses,
    settings: &Settings,
) -> anyhow::Result<(Servers, Nats, Postgres)> {
    let nats = NatsOptions {
        listen: addresses.nats,
        monitor: addresses.monitor,
        log_file: data_dir.log("nats-server"),
        program: settings.get("HOOKSTREAM_NATS_SERVER").map(Into::into),
        ..NatsOptions::in_dir(data_dir.path().join("nats"), secrets.nats.clone())
    };
    let postgres = PostgresOptions {
        data_dir: postgres_dir(data_dir),
        listen: addresses.postgres,
        password: text(&secrets.postgres),
        log_file: data_dir.log("postgres"),
        durable: true,
    };
    for log in [&nats.log_file, &postgres.log_file] {
        logs::rotate(log).with_context(|| format!("rotate {}", log.display()))?;
    }
    let nats = spawn_blocking(|| NatsServer::start(nats));
    let postgres = spawn_blocking(|| PostgresServer::start(postgres));
    let (nats, postgres) = tokio::try_join!(nats, postgres).context("start the servers")?;
    let (nats, postgres) = (nats.context("start nats-server")?, postgres.context("start Postgres")?);
    postgres.notes().iter().for_each(progress);
    progress(format_args!("nats-server listens on {}, Postgres on {}", nats.client_addr(), postgres.addr()));
    let servers = Servers {
        nats_addr: nats.client_addr(),
        operator_url: nats.url("operator"),
        subscriber_url: nats.url("subscriber"),
        worker_url: nats.url("worker"),
        monitor_url: nats.monitor_url(),
        postgres_addr: postgres.addr(),
        database_url: postgres.url("hookstream"),
    };
    Ok((servers, Nats(nats), Postgres(postgres)))
}

/// nats-server, kept running.
#[derive(Debug)]
pub(super) struct Nats(NatsServer);

impl Keep for Nats {
    fn name(&self) -> &'static str {
        "nats-server"
    }

    fn process(&self) -> Process {
        self.0.process().clone()
    }

    fn start_again(&mut self) -> anyhow::Result<()> {
        Ok(self.0.restart()?)
    }

    fn stop(&mut self) {
        self.0.stop();
    }
}

/// Postgres, kept running.
#[derive(Debug)]
pub(super) struct Postgres(PostgresServer);

impl Keep for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn process(&self) -> Process {
        self.0.process().clone()
    }

    fn start_again(&mut self) -> anyhow::Result<()> {
        Ok(self.0.restart()?)
    }

    fn stop(&mut self) {
        self.0.stop();
    }
}
