//! Named tasks that live and end together.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Why a process stopped, other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// A task failed.
    #[error("task {name} failed")]
    Failed {
        /// Which.
        name: &'static str,
        /// Why.
        source: anyhow::Error,
    },
    /// A task ended although nobody asked it to.
    #[error("task {0} ended by itself")]
    Ended(&'static str),
    /// A task panicked.
    #[error("task {0} panicked")]
    Panicked(&'static str),
    /// Some tasks did not end within the grace period.
    #[error("not ended within the grace period: {}", .0.join(", "))]
    GraceExpired(Vec<&'static str>),
}

/// Owns the tasks of a process. The first one that ends, in whatever way, stops the others: a process that does half
/// of its work looks alive and is not.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<(&'static str, Result<anyhow::Result<()>, tokio::task::JoinError>)>,
    running: Vec<&'static str>,
    shutdown: CancellationToken,
    grace: Duration,
}

impl Supervisor {
    /// No tasks yet. `grace` is how long they have to end after [`Supervisor::shutdown`] is cancelled.
    pub fn new(shutdown: CancellationToken, grace: Duration) -> Self {
        Self { tasks: JoinSet::new(), running: Vec::new(), shutdown, grace }
    }

    /// Cancelled when the process shall stop. A task finishes what it has in hand, then returns `Ok`.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Starts a task that runs until shutdown. It is aborted only when the grace period is over.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.running.push(name);
        // A task within the task, so that a panic still carries the name.
        let inner = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(task));
        self.tasks.spawn(async move { (name, inner.await) });
    }

    /// Waits until the shutdown token is cancelled or a task ends; then cancels the token and waits for the rest.
    /// The first failure is the one that is told.
    pub async fn run(mut self) -> Result<(), SuperviseError> {
        let mut first_error = None;
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            Some(ended) = self.tasks.join_next() => {
                let name = self.note(ended, &mut first_error);
                // A task that ends because it was told to may be seen before the telling is.
                if first_error.is_none() && !self.shutdown.is_cancelled() && let Some(name) = name {
                    first_error = Some(SuperviseError::Ended(name));
                }
            }
        }
        self.shutdown.cancel();
        let deadline = Instant::now() + self.grace;
        loop {
            match timeout_at(deadline, self.tasks.join_next()).await {
                Ok(Some(ended)) => {
                    self.note(ended, &mut first_error);
                }
                Ok(None) => break,
                Err(_) => {
                    let expired = SuperviseError::GraceExpired(std::mem::take(&mut self.running));
                    self.tasks.shutdown().await;
                    return Err(first_error.unwrap_or(expired));
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn note(&mut self, ended: Ended, first_error: &mut Option<SuperviseError>) -> Option<&'static str> {
        // The outer task neither panics nor is aborted before `shutdown`.
        let (name, result) = ended.ok()?;
        if let Some(at) = self.running.iter().position(|running| *running == name) {
            self.running.swap_remove(at);
        }
        let error = match result {
            Ok(Ok(())) => return Some(name),
            Ok(Err(source)) => SuperviseError::Failed { name, source },
            Err(_) => SuperviseError::Panicked(name),
        };
        if first_error.is_none() {
            *first_error = Some(error);
        } else {
            tracing::warn!(task = name, "{}", crate::exit::chain(&error));
        }
        Some(name)
    }
}

type Ended =
    Result<(&'static str, Result<anyhow::Result<()>, tokio::task::JoinError>), tokio::task::JoinError>;

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor(grace: Duration) -> Supervisor {
        Supervisor::new(CancellationToken::new(), grace)
    }

    /// A task that ends when it is told to, and notes that it did.
    fn obedient(supervisor: &mut Supervisor) -> CancellationToken {
        let (shutdown, ended) = (supervisor.shutdown(), CancellationToken::new());
        let note = ended.clone();
        supervisor.spawn("obedient", async move {
            shutdown.cancelled().await;
            note.cancel();
            Ok(())
        });
        ended
    }

    #[tokio::test]
    async fn the_first_failure_stops_the_others_and_is_told() {
        let mut supervisor = supervisor(Duration::from_secs(20));
        let ended = obedient(&mut supervisor);
        supervisor.spawn("broken", async { anyhow::bail!("out of luck") });
        let error = supervisor.run().await.unwrap_err();
        assert_eq!(crate::exit::chain(&error), "task broken failed: out of luck");
        assert!(ended.is_cancelled(), "the other task was waited for");
    }

    #[tokio::test]
    async fn a_task_that_ends_or_panics_stops_the_process() {
        let mut ending = supervisor(Duration::from_secs(20));
        ending.spawn("short", async { Ok(()) });
        assert_eq!(ending.run().await.unwrap_err().to_string(), "task short ended by itself");
        let mut panicking = supervisor(Duration::from_secs(20));
        panicking.spawn("wild", async { panic!("asked to") });
        assert_eq!(panicking.run().await.unwrap_err().to_string(), "task wild panicked");
    }

    #[tokio::test]
    async fn a_task_that_ends_when_told_to_has_not_ended_by_itself() {
        for _ in 0..50 {
            let mut supervisor = supervisor(Duration::from_secs(5));
            let stopped = obedient(&mut supervisor);
            let shutdown = supervisor.shutdown();
            shutdown.cancel();
            // Both are there to be seen when the supervisor first looks.
            stopped.cancelled().await;
            tokio::task::yield_now().await;
            supervisor.run().await.unwrap();
        }
    }

    #[tokio::test]
    async fn told_to_stop_tasks_have_the_grace_period() {
        let mut graceful = supervisor(Duration::from_secs(20));
        let ended = obedient(&mut graceful);
        graceful.shutdown().cancel();
        graceful.run().await.unwrap();
        assert!(ended.is_cancelled());

        let mut stubborn = supervisor(Duration::from_millis(50));
        stubborn.spawn("stubborn", std::future::pending());
        stubborn.shutdown().cancel();
        let error = stubborn.run().await.unwrap_err().to_string();
        assert_eq!(error, "not ended within the grace period: stubborn");
    }
}
