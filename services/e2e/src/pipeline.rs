//! Starting and stopping a whole pipeline.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hookstream_bus::{Bus, NatsSettings};
use hookstream_store::{Connection, PgSettings};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::processes::{Process, running_below, signal};

/// How to start a pipeline.
#[derive(Debug, Default)]
pub struct Start {
    /// More arguments of `hookstream up`.
    pub arguments: Vec<String>,
    /// More settings, as environment variables.
    pub settings: Vec<(String, String)>,
}

/// A running `hookstream up`, with everything below it. Dropped, all of it is killed and its folder removed.
pub struct Pipeline {
    up: Child,
    data_dir: TempDir,
    connection: BTreeMap<String, String>,
}

/// Time for the whole pipeline to come up, on a machine that is busy with other tests.
const START_WITHIN: Duration = Duration::from_mins(2);

impl Pipeline {
    /// Starts everything on free ports in a folder of its own, and waits for the line that begins with `ready`.
    pub async fn start(start: Start) -> Result<Self> {
        let data_dir = tempfile::Builder::new().prefix("hookstream-e2e-").tempdir()?;
        // Postgres does not run as root; its own user has to reach its folder.
        fs::set_permissions(data_dir.path(), fs::Permissions::from_mode(0o755))?;
        Self::start_in(data_dir, start).await
    }

    async fn start_in(data_dir: TempDir, start: Start) -> Result<Self> {
        let mut up = Command::new(binary("hookstream")?)
            .arg("up")
            .arg("--data-dir")
            .arg(data_dir.path())
            .args(&start.arguments)
            .env("HOOKSTREAM_GATEWAY_ADDR", "127.0.0.1:0")
            .env("HOOKSTREAM_BACKEND_ADDR", "127.0.0.1:0")
            .env("HOOKSTREAM_NATS_ADDR", "127.0.0.1:0")
            .env("HOOKSTREAM_METRICS_ADDR", "127.0.0.1:0")
            .env("HOOKSTREAM_POSTGRES_ADDR", "127.0.0.1:0")
            .envs(start.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(data_dir.path().join("up.stderr"))?)
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(up.stdout.take().context("standard output")?).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                if line.starts_with("ready") {
                    return Ok(());
                }
            }
            bail!("`hookstream up` ended before it was ready")
        };
        let outcome = tokio::time::timeout(START_WITHIN, ready).await;
        if let Err(error) = outcome.context("`hookstream up` was not ready in time").and_then(|done| done) {
            return Err(error.context(format!("start a pipeline; it said:\n{}", said(data_dir.path()))));
        }
        // Whatever else it prints is read away, so that it never blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let connection = read_env(&data_dir.path().join("connection.env"))?;
        Ok(Self { up, data_dir, connection })
    }

    /// A value of `connection.env`.
    pub fn value(&self, name: &str) -> &str {
        self.connection.get(name).map_or_else(|| panic!("connection.env has no {name}"), String::as_str)
    }

    /// The folder that holds everything.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// A database connection of the pipeline's owner.
    pub async fn database(&self) -> Result<Connection> {
        let url = self.value("DATABASE_URL").to_owned();
        let settings = PgSettings::read(&|name| (name == "DATABASE_URL").then(|| url.clone()))?;
        Ok(Connection::open(&settings, "hookstream-e2e").await?)
    }

    /// A NATS connection with the URL that `connection.env` has under `name`.
    pub async fn nats(&self, name: &str, role: &str) -> Result<Bus> {
        let url = self.value(name).to_owned();
        let settings = NatsSettings::read(&|name| (name == "NATS_URL").then(|| url.clone()), role)?;
        let bus = Bus::connect(&settings).await?;
        bus.wait_connected(Duration::from_secs(10)).await?;
        Ok(bus)
    }

    /// The processes of the pipeline whose executable has this file name, `up` itself aside.
    pub fn processes(&self, executable: &str) -> Vec<Process> {
        let all = self.up.id().map(running_below).unwrap_or_default();
        all.into_iter().filter(|process| process.executable == executable).collect()
    }

    /// Kills one process with SIGKILL: the first of that executable, which is the postmaster for Postgres.
    pub fn kill(&self, executable: &str) -> Result<()> {
        let victim = self.processes(executable).into_iter().min();
        victim.with_context(|| format!("no {executable} runs"))?.kill()
    }

    /// Asks `up` to stop, and waits for it to end well: with exit code 0, and nothing left running. Gives its folder
    /// back.
    pub async fn stop(mut self) -> Result<TempDir> {
        let pid = self.up.id().context("`hookstream up` has ended by itself")?;
        let family = running_below(pid);
        ensure!(!family.is_empty(), "`hookstream up` runs nothing");
        signal(pid, "TERM")?;
        let status = tokio::time::timeout(Duration::from_mins(1), self.up.wait()).await??;
        for process in family {
            let gone = !Path::new("/proc").join(process.pid.to_string()).join("exe").exists();
            ensure!(gone, "{process:?} outlived `hookstream up`");
        }
        ensure!(
            status.success(),
            "`hookstream up` ended with {status}; it said:\n{}",
            said(self.data_dir.path())
        );
        Ok(self.data_dir)
    }

    /// Kills `up` itself with SIGKILL, then starts a new one over the same folder.
    pub async fn crash_and_start_again(mut self) -> Result<Self> {
        self.up.kill().await?;
        Self::start_in(self.data_dir, Start::default()).await
    }

    /// Starts again over the folder that [`Pipeline::stop`] gave back.
    pub async fn start_again(data_dir: TempDir) -> Result<Self> {
        Self::start_in(data_dir, Start::default()).await
    }
}

/// What `up` wrote to standard error.
fn said(data_dir: &Path) -> String {
    fs::read_to_string(data_dir.join("up.stderr")).unwrap_or_default()
}

/// A binary of this workspace, in the folder that cargo built this test into.
pub fn binary(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("target/<profile>/deps/<test>")?;
    let path = profile.join(name);
    ensure!(
        path.exists(),
        "{} is not built: run `cargo build --workspace` first, as deploy/test does",
        path.display()
    );
    Ok(path)
}

fn read_env(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.trim_matches(|c| c == '\'' || c == '"').to_owned()))
    };
    Ok(text.lines().filter(|line| !line.starts_with('#')).filter_map(pair).collect())
}
