//! Keeps child processes running, and stops them in order.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use hookstream_local::process::Process;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::services::{Planned, Service};
use crate::output::progress;

/// Pause before a child is started again, doubled each time up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);
/// A child that ran for so long has not failed to start.
const STEADY: Duration = Duration::from_secs(10);

/// A child process that can be started again and stopped. All of it blocks.
pub(super) trait Keep: Send + 'static {
    fn name(&self) -> &'static str;
    /// The child that runs now, or ran last.
    fn process(&self) -> Process;
    /// Starts another one in its place, at the same address and on the same data.
    fn start_again(&mut self) -> anyhow::Result<()>;
    /// Asks it to end, waits, and insists.
    fn stop(&mut self);
}

/// Something ended by itself.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) name: &'static str,
    pub(super) status: ExitStatus,
}

/// All that runs. Stopped in order: the gateway, the other services, the servers.
#[derive(Debug)]
pub(super) struct Stack {
    gateway: Vec<Kept>,
    services: Vec<Kept>,
    servers: Vec<Kept>,
    ended: mpsc::UnboundedSender<Ended>,
    /// What ended by itself. A handful for each failure, so without a bound.
    pub(super) endings: mpsc::UnboundedReceiver<Ended>,
}

impl Default for Stack {
    fn default() -> Self {
        let (ended, endings) = mpsc::unbounded_channel();
        Self { gateway: Vec::new(), services: Vec::new(), servers: Vec::new(), ended, endings }
    }
}

impl Stack {
    /// Keeps a server.
    pub(super) fn keep_server(&mut self, server: impl Keep) {
        self.servers.push(Kept::new(server, self.ended.clone()));
    }

    /// Starts and keeps a service.
    pub(super) fn keep_service(&mut self, service: Planned) -> anyhow::Result<()> {
        let service = Service::start(service)?;
        let is_gateway = service.name() == "gateway";
        let kept = Kept::new(service, self.ended.clone());
        if is_gateway {
            self.gateway.push(kept);
        } else {
            self.services.push(kept);
        }
        Ok(())
    }

    /// Stops everything. First nothing is accepted any more, then what was accepted is worked off as far as the grace
    /// period goes, then what holds the data ends.
    pub(super) async fn stop(self) {
        for group in [self.gateway, self.services, self.servers] {
            let tasks: Vec<_> = group.into_iter().map(Kept::stop).collect();
            for task in tasks {
                // A panic in a keeper has been told; its child dies with us.
                let _ = task.await;
            }
        }
    }
}

#[derive(Debug)]
struct Kept {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Kept {
    fn new(kept: impl Keep, ended: mpsc::UnboundedSender<Ended>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(kept, stop.clone(), ended));
        Self { stop, task }
    }

    fn stop(self) -> JoinHandle<()> {
        self.stop.cancel();
        self.task
    }
}

/// Starts the child again whenever it ends, until `stop`.
async fn keep<K: Keep>(mut kept: K, stop: CancellationToken, ended: mpsc::UnboundedSender<Ended>) {
    let mut pause = PAUSE_FIRST;
    loop {
        let (name, process, since) = (kept.name(), kept.process(), Instant::now());
        tokio::select! {
            status = spawn_blocking(move || process.wait()) => {
                let Ok(status) = status else { return }; // the runtime is going down
                if since.elapsed() > STEADY {
                    pause = PAUSE_FIRST;
                }
                progress(format_args!("{name} ended with {status}; starting it again"));
                let _ = ended.send(Ended { name, status }); // nobody listens once all is ready
            }
            () = stop.cancelled() => {
                let _ = spawn_blocking(move || kept.stop()).await;
                return;
            }
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            pause = (pause * 2).min(PAUSE_LONGEST);
            let again = spawn_blocking(move || {
                let started = kept.start_again();
                (kept, started)
            });
            let Ok((back, started)) = again.await else { return };
            kept = back;
            match started {
                Ok(()) => break,
                Err(error) => progress(format_args!("{name} does not start again: {error:#}")),
            }
        }
    }
}
