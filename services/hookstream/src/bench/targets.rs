//! What is measured: a gateway in front of a server that syncs, others beside it, each a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hookstream_bus::topology::Topology;
use hookstream_bus::{Bus, NatsSettings};
use hookstream_local::process::{Death, Process, Program};
use hookstream_local::{Listen, NATS_CONF, NatsOptions, NatsServer, Passwords};
use hookstream_runtime::Settings;

use super::load::End;
use crate::http;
use crate::settings::is_default;

/// How long a process may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bounds of group commit, which can be tried out.
pub(super) const BOUNDS: [&str; 3] =
    ["HOOKSTREAM_COMMITS_MAX", "HOOKSTREAM_COMMIT_MESSAGES_MAX", "HOOKSTREAM_COMMIT_BYTES_MAX"];

/// Who answers deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Answer,
    Verify,
    Publish,
    Gateway { group_commit: bool, sync: bool },
}

pub(super) const GATEWAY: Kind = Kind::Gateway { group_commit: true, sync: true };
pub(super) const ALONE: Kind = Kind::Gateway { group_commit: false, sync: true };
pub(super) const LAZY: Kind = Kind::Gateway { group_commit: true, sync: false };
const LAZY_ALONE: Kind = Kind::Gateway { group_commit: false, sync: false };

/// In the order in which they are printed.
pub(super) const KINDS: [Kind; 7] =
    [Kind::Answer, Kind::Verify, Kind::Publish, ALONE, GATEWAY, LAZY_ALONE, LAZY];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer only",
            Self::Verify => "verify only",
            Self::Publish => "publish only, one by one",
            Self::Gateway { group_commit: false, sync: true } => "gateway, no group commit",
            Self::Gateway { group_commit: true, sync: true } => "gateway",
            Self::Gateway { group_commit: false, sync: false } => "gateway, lazy sync, no group commit",
            Self::Gateway { group_commit: true, sync: false } => "gateway, lazy sync",
        }
    }
}

/// A private nats-server with our streams.
#[derive(Debug)]
pub(super) struct Server {
    nats: NatsServer,
}

impl Server {
    /// `sync`: whether it calls fsync before each ack, as nats.conf says; otherwise every two minutes.
    pub(super) async fn start(folder: &Path, settings: &Settings, sync: bool) -> anyhow::Result<Self> {
        let program = settings.get("HOOKSTREAM_NATS_SERVER").map(Into::into);
        Self::start_program(folder, program, sync).await
    }

    /// The same with another program that behaves as nats-server does.
    pub(super) async fn start_program(
        folder: &Path,
        program: Option<PathBuf>,
        sync: bool,
    ) -> anyhow::Result<Self> {
        let mut options = NatsOptions { program, ..NatsOptions::in_dir(folder, Passwords::generate()?) };
        if !sync {
            let lazily = NATS_CONF.replace("sync_interval: always", r#"sync_interval: "2m""#);
            ensure!(lazily != NATS_CONF, "nats.conf does not say sync_interval: always");
            options.config = lazily;
        }
        let nats = tokio::task::spawn_blocking(|| NatsServer::start(options)).await??;
        let operator = connect(&nats, "operator").await?;
        let topology = Topology::embedded();
        let missing = topology.plan(&operator).await?;
        let left = topology.apply(&operator, &missing).await?;
        ensure!(left.is_empty(), "the streams cannot be made: {left:?}");
        operator.drain().await;
        Ok(Self { nats })
    }

    /// Publishes to it as a gateway may, one message with each fsync.
    pub(super) async fn publisher(&self) -> anyhow::Result<End> {
        let bus = connect(&self.nats, "gateway").await?;
        Ok(End::Stream(bus.publisher(PATIENCE)))
    }
}

async fn connect(nats: &NatsServer, role: &str) -> anyhow::Result<Bus> {
    let bus = Bus::connect(&NatsSettings::new(&nats.url(role), role)?).await?;
    bus.wait_connected(PATIENCE).await?;
    Ok(bus)
}

/// A process that takes webhooks. Drop stops it.
#[derive(Debug)]
pub(super) struct Taker {
    process: Process,
    pub(super) address: SocketAddr,
}

/// What a gateway needs to know.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) secret: &'a str,
    pub(super) settings: &'a Settings,
    /// Where its log goes.
    pub(super) folder: &'a Path,
}

impl Plan<'_> {
    /// Starts the process that `kind` is and returns at once. Publishing needs none.
    pub(super) fn spawn(&self, kind: Kind, server: &Server) -> anyhow::Result<Taker> {
        let address = Listen::any().resolve()?;
        let ourselves = std::env::current_exe().context("find this program")?;
        let stand_in = |does: &str| Program::new(&ourselves).args(["bench-stand-in", does]);
        let mut program = match kind {
            Kind::Gateway { .. } | Kind::Publish => {
                let gateway = ourselves.with_file_name("hookstream-gateway");
                ensure!(gateway.is_file(), "{} is not there; build it: deploy/bench does", gateway.display());
                Program::new(gateway)
            }
            Kind::Answer => stand_in("answer"),
            Kind::Verify => stand_in("verify"),
        };
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("takers.log"))?;
        program = program.clear_env().stderr(log);
        for name in BOUNDS.into_iter().filter(|name| !is_default(self.settings, name)) {
            program = program.env(name, self.settings.get(name).unwrap_or_default());
        }
        if let Kind::Gateway { group_commit: false, .. } = kind {
            program = program.env("HOOKSTREAM_COMMIT_MESSAGES_MAX", "1");
        }
        for (name, value) in [
            ("HOOKSTREAM_GATEWAY_ADDR", address.to_string().as_str()),
            ("HOOKSTREAM_LOG", "info"),
            ("HOOKSTREAM_LOG_FORMAT", "json"),
            // All deliveries come from one address and one source.
            ("HOOKSTREAM_CLIENT_RATE_MAX", "1000000"),
            ("HOOKSTREAM_SOURCE_RATE_MAX", "1000000"),
            ("HOOKSTREAM_CLIENT_CONNECTIONS_MAX", "1000000"),
            ("HOOKSTREAM_CONNECTION_REQUESTS_MAX", "1000000"),
            ("GITHUB_WEBHOOK_SECRET", self.secret),
            ("INTERNAL_WEBHOOK_SECRET", self.secret),
            ("NATS_URL", &server.nats.url("gateway")),
        ] {
            program = program.env(name, value);
        }
        Ok(Taker { process: program.spawn()?, address })
    }

    /// The same, once it is ready.
    pub(super) fn start(&self, kind: Kind, server: &Server) -> anyhow::Result<Taker> {
        let taker = self.spawn(kind, server)?;
        let url = match kind {
            Kind::Answer => format!("http://{}/", taker.address),
            _ => format!("http://{}/readyz", taker.address),
        };
        let deadline = Instant::now() + PATIENCE;
        while !http::get(&url, PATIENCE).is_ok_and(|answer| answer.status < 300) {
            ensure!(
                taker.process.ended().is_none() && Instant::now() < deadline,
                "{} does not start",
                kind.name()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(taker)
    }
}

impl Taker {
    /// The most memory that it held so far, in bytes.
    pub(super) fn memory_peak(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.process.stop(Death::Term, PATIENCE, Death::Kill);
    }
}
