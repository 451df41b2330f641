use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_nats::{ClientError, Event, ServerError};
use tokio::sync::watch;

use crate::NatsSettings;

/// How many refused permissions are remembered.
const VIOLATIONS_MAX: usize = 32;

/// What the connection told us.
pub(super) struct Watch {
    pub(super) name: String,
    /// Without user and password.
    pub(super) addresses: Vec<String>,
    pub(super) seen: Mutex<Seen>,
    /// Counts the connections lost. The client's own state says whether one stands.
    pub(super) losses: watch::Sender<u64>,
    /// Counts what the server refused by permission.
    pub(super) refusals: watch::Sender<u64>,
    /// The client has told once which server it is, and keeps that.
    pub(super) knows_server: AtomicBool,
    pub(super) closed: AtomicBool,
}

#[derive(Default)]
pub(super) struct Seen {
    /// Why the last attempt to connect failed; `None` while connected.
    pub(super) problem: Option<String>,
    /// What the server refused by permission, oldest first.
    pub(super) violations: VecDeque<String>,
}

impl Watch {
    pub(super) fn new(settings: &NatsSettings) -> Self {
        Self {
            name: settings.name.clone(),
            addresses: settings.addresses(),
            seen: Mutex::default(),
            losses: watch::Sender::new(0),
            refusals: watch::Sender::new(0),
            knows_server: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing panics while it is held, and a half-written text would still be readable.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, event: &Event) {
        let name = &self.name;
        match event {
            Event::Connected => {
                self.seen().problem = None;
                tracing::info!("{name} is connected to NATS");
            }
            Event::Disconnected => {
                self.losses.send_modify(|losses| *losses += 1);
                tracing::warn!("{name} lost its connection to NATS");
            }
            Event::Closed => {
                self.closed.store(true, Ordering::Relaxed);
                self.losses.send_modify(|losses| *losses += 1);
            }
            Event::ServerError(ServerError::Other(text)) if text.to_lowercase().contains("violation") => {
                self.note_violation(text);
            }
            Event::ServerError(error) => tracing::warn!("NATS reports to {name}: {error}"),
            Event::ClientError(ClientError::Other(text)) => self.note_problem(text),
            Event::ClientError(error) => self.note_problem(&error.to_string()),
            Event::SlowConsumer(_) => {
                tracing::warn!("{name} reads a subscription too slowly; messages of it were dropped");
            }
            Event::LameDuckMode => tracing::info!("the NATS server of {name} is about to stop"),
            Event::Draining => {}
        }
    }

    /// Once per problem: the client tries again every few seconds.
    fn note_problem(&self, problem: &str) {
        let mut seen = self.seen();
        if seen.problem.as_deref() != Some(problem) {
            let at = self.addresses.join(", ");
            tracing::warn!("{} cannot connect to NATS at {at}: {problem}", self.name);
            seen.problem = Some(problem.to_owned());
        }
    }

    fn note_violation(&self, text: &str) {
        let mut seen = self.seen();
        if !seen.violations.iter().any(|known| known == text) {
            tracing::error!("NATS refuses {}: {text}", self.name);
            if seen.violations.len() == VIOLATIONS_MAX {
                seen.violations.pop_front();
            }
            seen.violations.push_back(text.to_owned());
            self.refusals.send_modify(|refusals| *refusals += 1);
        }
    }
}
