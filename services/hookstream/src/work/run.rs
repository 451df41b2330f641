//! Runs the command for one phase.

use std::ffi::OsString;
use std::future::Future;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hookstream_local::process::{Death, Process, Program};
use hookstream_runtime::settings::Setting;
use tokio::task::spawn_blocking;

use super::announcement::Phase;
use super::lock::Lock;
use super::tail::Tail;

/// How long a command that was asked to end may take before it is killed.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What to run, and within which bounds.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    /// For `sh -c`.
    pub(crate) script: String,
    /// Longest run.
    pub(crate) timeout: Option<Duration>,
    /// How long it may go on once the worker shall stop.
    pub(crate) grace: Duration,
    /// Folder of the locks.
    pub(crate) locks: PathBuf,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Run {
    /// Why it failed; `None` if it completed.
    pub(super) error: Option<String>,
    pub(super) exit_code: Option<i32>,
    pub(super) took: Duration,
}

impl Command {
    /// Runs the command to its end, which comes early by the timeout, or `grace` after `stop`. Nothing of its process
    /// group is left then. Dropped, it leaves the command running: see [`Running`].
    pub(super) async fn run(
        &self,
        phase: &Phase,
        payload: &[u8],
        attempt: u32,
        lock: &Lock,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<Run> {
        let start = Instant::now();
        let running = Running(self.start(phase, payload, attempt, lock)?);
        let errors = running.0.take_stderr().context("the command's standard error")?;
        let tail = Tail::of(errors, std::io::stderr()).context("read the command's standard error")?;
        let process = running.0.clone();
        let ended = spawn_blocking(move || process.wait());
        tokio::pin!(ended);
        let too_long = async {
            match self.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let stopped = async {
            stop.await;
            tokio::time::sleep(self.grace).await;
        };
        let (status, cut) = tokio::select! {
            status = &mut ended => (status?, None),
            () = too_long => {
                let timeout = self.timeout.unwrap_or_default();
                (end(&running.0).await?, Some(format!("ended after {timeout:?}, its longest time")))
            }
            () = stopped => (end(&running.0).await?, Some("ended, because the worker was stopped".to_owned())),
        };
        let tail = spawn_blocking(move || tail.read()).await?;
        let error = cut.or_else(|| (!status.success()).then(|| told(status)));
        let error = error.map(|error| if tail.is_empty() { error } else { format!("{error}\n{tail}") });
        Ok(Run { error, exit_code: status.code(), took: start.elapsed() })
    }

    fn start(&self, phase: &Phase, payload: &[u8], attempt: u32, lock: &Lock) -> anyhow::Result<Process> {
        // A file and not a pipe: a command that reads none of it holds up nobody.
        let mut input = tempfile::tempfile().context("make a file for the command's standard input")?;
        input
            .write_all(payload)
            .and_then(|()| input.rewind())
            .context("write the command's standard input")?;
        let mut program = Program::new("/bin/sh")
            .args(["-c", &self.script])
            .clear_env()
            .stdin(input)
            .stdout(std::io::stderr())
            .stderr(Stdio::piped())
            .end_group()
            .hold(lock.file().context("share the lock")?);
        for (name, value) in inherited().chain(variables(phase, attempt)) {
            program = program.env(name, value);
        }
        program.spawn().context("start sh")
    }
}

/// A command that runs. Dropped before it has ended, as when the worker may not go on, it is killed.
struct Running(Process);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.signal_group(Death::Kill);
    }
}

/// Asks the whole group to end, and insists.
async fn end(process: &Process) -> anyhow::Result<ExitStatus> {
    let process = process.clone();
    let ended = spawn_blocking(move || {
        process.signal_group(Death::Term);
        process.wait_for(END_WITHIN).unwrap_or_else(|| {
            process.signal_group(Death::Kill);
            process.wait()
        })
    });
    Ok(ended.await?)
}

fn told(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Our environment without secrets and without the way to the servers: a phase may run anything.
fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    let withheld = |name: &str| {
        let setting = Setting::named(name.strip_suffix("_FILE").unwrap_or(name));
        setting.is_some_and(|setting| setting.is_secret() || matches!(setting.group, "NATS" | "Postgres"))
            // Those of connection.env, of the `nats` command and of nats.conf, too.
            || name.starts_with("NATS_")
            || name.starts_with("HOOKSTREAM_NATS_")
    };
    std::env::vars_os().filter(move |(name, _)| !name.to_str().is_some_and(withheld))
}

/// The phase, as the command's environment has it.
fn variables(phase: &Phase, attempt: u32) -> impl Iterator<Item = (OsString, OsString)> {
    let issue_number = phase.issue_number.map(|number| number.to_string()).unwrap_or_default();
    [
        ("HOOKSTREAM_QUEUE_ID", phase.queue_id.clone()),
        ("HOOKSTREAM_PARENT_ISSUE", phase.parent_issue.to_string()),
        ("HOOKSTREAM_PHASE_NUMBER", phase.phase_number.to_string()),
        ("HOOKSTREAM_ISSUE_NUMBER", issue_number),
        ("HOOKSTREAM_PRIORITY", phase.priority.to_string()),
        ("HOOKSTREAM_ADW_ID", phase.adw_id.clone()),
        ("HOOKSTREAM_WORKFLOW_TYPE", phase.workflow_type().replace('\0', "")),
        ("HOOKSTREAM_ANNOUNCEMENT", phase.announcement.to_string()),
        ("HOOKSTREAM_ATTEMPT", attempt.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value.into()))
}
