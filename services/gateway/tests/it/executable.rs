use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use hookstream_test_support::{GITHUB_SECRET, INTERNAL_SECRET, TestNats, eventually, http, unique_id};

use crate::gateway::PATIENCE;

pub(crate) const EXECUTABLE: &str = env!("CARGO_BIN_EXE_hookstream-gateway");

/// The environment that a gateway needs.
pub(crate) fn usual(nats_url: &str) -> [(&str, &str); 4] {
    [
        ("NATS_URL", nats_url),
        ("GITHUB_WEBHOOK_SECRET", GITHUB_SECRET),
        ("INTERNAL_WEBHOOK_SECRET", INTERNAL_SECRET),
        ("HOOKSTREAM_GATEWAY_ADDR", "127.0.0.1:0"),
    ]
}

/// The gateway as a process of its own. Drop kills it and removes its log.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Runs the executable with nothing but this in its environment.
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        Self::run(&mut Command::new(EXECUTABLE), environment)
    }

    /// The same with so many files that it may open.
    pub(crate) fn start_with_files(files: u32, environment: &[(&str, &str)]) -> Self {
        let limited = format!("ulimit -n {files}; exec {EXECUTABLE}");
        Self::run(Command::new("/bin/sh").args(["-c", &limited]), environment)
    }

    /// In front of `nats`, with the usual secrets, once it takes webhooks.
    pub(crate) async fn start_ready(nats: &TestNats, further: &[(&str, &str)]) -> (Self, String) {
        let nats_url = nats.url("gateway");
        let process = Self::start(&[&usual(&nats_url)[..], further].concat());
        let url = process.ready().await;
        (process, url)
    }

    /// Its URL, once it takes webhooks.
    pub(crate) async fn ready(&self) -> String {
        let url = self.url().await;
        eventually("it takes webhooks", PATIENCE, async || {
            http::get(&format!("{url}/readyz")).await.is_ok_and(|page| page.status == 200)
        })
        .await;
        url
    }

    fn run(command: &mut Command, environment: &[(&str, &str)]) -> Self {
        let log = std::env::temp_dir().join(format!("hookstream-gateway-{}.log", unique_id()));
        let child = command
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The URL it says that it listens at.
    pub(crate) async fn url(&self) -> String {
        eventually("the gateway says where it listens", PATIENCE, async || {
            let log = self.log();
            let (_, rest) = log.split_once("listening on ").ok_or(log.clone())?;
            Ok::<_, String>(format!("http://{}", rest.split(['"', ' ']).next().unwrap_or_default()))
        })
        .await
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the gateway ends", PATIENCE, async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}
