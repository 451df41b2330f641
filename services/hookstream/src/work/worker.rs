//! The worker: one phase at a time, from its announcement to the report of its end.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hookstream_bus::{Bus, BusError, Consumer, Message, PullLimits};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::ROLE;
use super::announcement::{News, Phase};
use super::hold;
use super::lock::Lock;
use super::report::{Reporter, Stored};
use super::run::{Command, Run};
use crate::operator;
use crate::output::progress;

/// One phase, and a look at whether to stop every second.
const PULL: PullLimits = PullLimits { messages: 1, bytes: 4 << 20, wait: Duration::from_secs(1) };

/// Before the next attempt while NATS is away, or an earlier run of a phase still lives.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the report of an end may take once the worker shall stop. Not accepted by then, the phase is handed out
/// again.
const LAST_REPORT_WITHIN: Duration = Duration::from_secs(20);

/// Takes phases and runs them.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) bus: Bus,
    pub(crate) reporter: Reporter,
    pub(crate) command: Command,
    /// The durable consumer; workers of one name share it.
    pub(crate) name: String,
    pub(crate) parent_issue: Option<i64>,
    /// How long after a worker last said that it lives its phase goes to another.
    pub(crate) lease: Duration,
}

/// A phase that has run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) phase: Phase,
    /// Why it failed; `None` if it completed.
    pub(crate) error: Option<String>,
    pub(crate) took: Duration,
}

/// What became of an announcement.
enum Outcome {
    /// It has run, and its end is reported.
    Ran(Ended),
    /// It is not for us; for people, why.
    Skipped(String),
    /// Nothing yet: it shall be handed out again.
    Again,
}

impl Worker {
    /// Works until `stop`, or until one phase has run if `once`; tells of each. An error means that no report of ours
    /// will ever be taken, that NATS refuses us, or that `tell` failed.
    pub(crate) async fn work(
        &self,
        stop: &CancellationToken,
        once: bool,
        mut tell: impl FnMut(&Ended) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut consumer = None;
        let mut trouble = String::new();
        while !stop.is_cancelled() {
            match self.next(&mut consumer).await {
                Ok(None) => trouble.clear(),
                Ok(Some((consumer, message))) => {
                    trouble.clear();
                    if let Some(ended) = self.handle(&consumer, &message, stop).await? {
                        tell(&ended)?;
                        if once {
                            return Ok(());
                        }
                    }
                }
                // No answer, because the server refuses what was asked: that does not pass.
                Err(BusError::TimedOut(_)) if !self.bus.violations().is_empty() => {
                    bail!(operator::refusal(&self.bus.violations()[0], ROLE));
                }
                Err(error) => {
                    // Made again, should it be gone.
                    consumer = None;
                    let told = error.to_string();
                    if told != trouble {
                        progress(format_args!("cannot take phases: {told}; trying on"));
                        trouble = told;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        () = stop.cancelled() => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// The next announcement, if one comes within a second.
    async fn next(&self, made: &mut Option<Consumer>) -> Result<Option<(Consumer, Message)>, BusError> {
        let consumer = if let Some(consumer) = made {
            consumer
        } else {
            let consumer = self.bus.worker_consumer(&self.name, self.parent_issue, self.lease).await?;
            progress(format_args!("takes phases by the consumer {} of PHASES", consumer.name()));
            made.insert(consumer)
        };
        // Never dropped half-way, so that no message is lost until its lease is over.
        let message = consumer.pull(&PULL).await?.pop();
        Ok(message.map(|message| (consumer.clone(), message)))
    }

    /// Deals with an announcement while keeping hold of it.
    async fn handle(
        &self,
        consumer: &Consumer,
        message: &Message,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Ended>> {
        let outcome = match Phase::read(&message.payload) {
            Ok(phase) => tokio::select! {
                outcome = self.attend(phase, message, stop) => outcome,
                () = hold::keep(consumer, message, self.lease) => {
                    progress("NATS does not hear us, so another worker may be handed the phase: its run is ended");
                    Ok(Outcome::Again)
                }
            },
            Err(error) => Ok(Outcome::Skipped(format!("{error:#}"))),
        };
        let (settled, ended) = match outcome {
            Ok(Outcome::Ran(ended)) => (consumer.ack(std::slice::from_ref(message)).await, Some(ended)),
            Ok(Outcome::Skipped(why)) => {
                progress(format_args!("passes over {}: {why}", message.subject));
                (consumer.ack(std::slice::from_ref(message)).await, None)
            }
            Ok(Outcome::Again) => (consumer.give_back(message, Duration::ZERO).await, None),
            Err(error) => {
                // Another worker may have more luck.
                let _ = consumer.give_back(message, PAUSE).await;
                return Err(error);
            }
        };
        if let Err(error) = settled {
            // It is handed out again, and then found to be over.
            progress(format_args!("cannot settle {}: {error}", message.subject));
        }
        Ok(ended)
    }

    async fn attend(
        &self,
        phase: Phase,
        message: &Message,
        stop: &CancellationToken,
    ) -> anyhow::Result<Outcome> {
        if let Some(outcome) = self.settled(&phase, message).await {
            return Ok(outcome);
        }
        let Some((lock, waited)) = self.lock(&phase, stop).await? else { return Ok(Outcome::Again) };
        // Whoever had the lock may have brought the phase to its end.
        if waited && let Some(outcome) = self.settled(&phase, message).await {
            return Ok(outcome);
        }
        let Some(stored) =
            until(stop, self.reporter.post(&phase.report_id("started"), &started(&phase))).await
        else {
            return Ok(Outcome::Again);
        };
        if stored? == Stored::ByAnother && message.attempt == 1 {
            return Ok(Outcome::Skipped(format!("{} was begun elsewhere", phase.queue_id)));
        }
        let run = self.command.run(&phase, &message.payload, message.attempt, &lock, stop.cancelled()).await;
        let run = run.with_context(|| format!("run the command for {}", phase.queue_id))?;
        let report = completed(&phase, &run, &self.name, message.attempt);
        let id = phase.report_id("completed");
        let posted = self.reporter.post(&id, &report);
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_REPORT_WITHIN).await;
        };
        tokio::select! {
            stored = posted => { stored?; }
            () = late => {
                progress(format_args!("the end of {} could not be reported", phase.queue_id));
                return Ok(Outcome::Again);
            }
        }
        Ok(Outcome::Ran(Ended { phase, error: run.error, took: run.took }))
    }

    /// What becomes of an announcement whose phase is not to be run, as far as is known now; else `None`.
    async fn settled(&self, phase: &Phase, message: &Message) -> Option<Outcome> {
        match phase.news(&self.bus, message).await {
            Ok(News::Over(status)) => Some(Outcome::Skipped(format!("{} is {status}", phase.queue_id))),
            // On the first attempt it cannot be ours, nor that of a worker which shares our consumer.
            Ok(News::Running) if message.attempt == 1 => {
                Some(Outcome::Skipped(format!("{} runs elsewhere", phase.queue_id)))
            }
            Ok(News::Running | News::None) => None,
            Err(error) => {
                progress(format_args!("cannot look what became of {}: {error}", phase.queue_id));
                tokio::time::sleep(PAUSE).await;
                Some(Outcome::Again)
            }
        }
    }

    /// The right to run the phase on this machine, and whether it had to be waited for; `None` if the worker shall stop
    /// before it is to be had.
    async fn lock(&self, phase: &Phase, stop: &CancellationToken) -> anyhow::Result<Option<(Lock, bool)>> {
        let mut told = false;
        loop {
            if let Some(lock) = Lock::take(&self.command.locks, &phase.queue_id)? {
                return Ok(Some((lock, told)));
            }
            if !told {
                told = true;
                progress(format_args!(
                    "an earlier run of {} still lives; waiting for its end",
                    phase.queue_id
                ));
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => return Ok(None),
            }
        }
    }
}

/// The result, unless `stop` comes first.
async fn until<T>(stop: &CancellationToken, result: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        result = result => Some(result),
        () = stop.cancelled() => None,
    }
}

fn started(phase: &Phase) -> Value {
    json!({ "type": "phase.started", "queue_id": phase.queue_id, "adw_id": phase.adw_id })
}

fn completed(phase: &Phase, run: &Run, worker: &str, attempt: u32) -> Value {
    let status = if run.error.is_none() { "completed" } else { "failed" };
    json!({
        "type": "workflow.completed",
        "adw_id": phase.adw_id,
        "status": status,
        "queue_id": phase.queue_id,
        "parent_issue": phase.parent_issue,
        "phase_number": phase.phase_number,
        "issue_number": phase.issue_number,
        "error_message": run.error,
        "duration_seconds": run.took.as_secs_f64(),
        "workflow_template": phase.workflow_type(),
        "metadata": { "worker": worker, "attempt": attempt, "exit_code": run.exit_code },
    })
}

impl Ended {
    /// Whether it ended well.
    pub(crate) fn is_completed(&self) -> bool {
        self.error.is_none()
    }

    fn status(&self) -> &'static str {
        if self.is_completed() { "completed" } else { "failed" }
    }

    /// One line of JSON.
    pub(crate) fn as_json(&self) -> Value {
        json!({
            "status": self.status(),
            "queue_id": self.phase.queue_id,
            "parent_issue": self.phase.parent_issue,
            "phase_number": self.phase.phase_number,
            "workflow_type": self.phase.workflow_type(),
            "adw_id": self.phase.adw_id,
            "duration_seconds": self.took.as_secs_f64(),
            "error_message": self.error,
        })
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Phase { queue_id, parent_issue, phase_number, .. } = &self.phase;
        let (status, seconds) = (self.status(), self.took.as_secs_f64());
        write!(
            f,
            "{status:<9}  {queue_id}: issue {parent_issue}, phase {phase_number}, {}",
            self.phase.workflow_type()
        )?;
        write!(f, ", {seconds:.1} s")
    }
}
