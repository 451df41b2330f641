//! Whether a process can do its work: one named check per thing it needs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// The checks of a process. Clones share them.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>);

impl Health {
    /// No checks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, which fails as "starting" until it first passes. A name asked for again is the same check.
    pub fn check(&self, name: &'static str) -> Check {
        self.lock().entry(name).or_insert_with(|| Err("starting".to_owned()));
        Check { name, health: self.clone() }
    }

    /// The state of every check.
    pub fn report(&self) -> Report {
        let states = self.lock();
        let checks: BTreeMap<_, _> = states
            .iter()
            .map(|(name, state)| (*name, CheckReport { ok: state.is_ok(), reason: state.clone().err() }))
            .collect();
        let ready = checks.values().all(|check| check.ok);
        Report { status: if ready { "ready" } else { "not ready" }, checks }
    }

    /// Whether every check passes.
    pub fn is_ready(&self) -> bool {
        self.lock().values().all(Result::is_ok)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Result<(), String>>> {
        // Nothing panics while it holds the lock, and a half-made change cannot be.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Health").field(&*self.lock()).finish()
    }
}

/// Handle on one check. Reports are logged when the state changes, not each time.
#[derive(Debug, Clone)]
pub struct Check {
    name: &'static str,
    health: Health,
}

impl Check {
    /// It works.
    pub fn pass(&self) {
        self.set(Ok(()));
    }

    /// It does not; `reason` is shown to anyone who asks for `/readyz`, so it holds no secret.
    pub fn fail(&self, reason: impl Into<String>) {
        self.set(Err(reason.into()));
    }

    /// Passes or fails as `result` says, with the whole chain of an error.
    pub fn record<E: std::error::Error>(&self, result: &Result<(), E>) {
        match result {
            Ok(()) => self.pass(),
            Err(error) => self.fail(crate::exit::chain(error)),
        }
    }

    /// Whether it passed last time.
    pub fn is_passing(&self) -> bool {
        self.health.lock().get(self.name).is_some_and(Result::is_ok)
    }

    fn set(&self, state: Result<(), String>) {
        let name = self.name;
        let before = self.health.lock().insert(name, state.clone());
        if before.as_ref() == Some(&state) {
            return;
        }
        match state {
            Ok(()) => tracing::info!(check = name, "check {name} passes"),
            Err(reason) => tracing::warn!(check = name, reason, "check {name} fails: {reason}"),
        }
    }
}

/// What `/readyz` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `ready` or `not ready`.
    pub status: &'static str,
    /// By name.
    pub checks: BTreeMap<&'static str, CheckReport>,
}

/// One check within a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Whether it passed last time.
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_check_passes() {
        let health = Health::new();
        assert!(health.is_ready(), "a process that needs nothing is ready");
        let (nats, stream) = (health.check("nats"), health.check("stream"));
        nats.pass();
        assert!(!health.is_ready());
        let report = serde_json::to_value(health.report()).unwrap();
        let expected = serde_json::json!({
            "status": "not ready",
            "checks": { "nats": { "ok": true }, "stream": { "ok": false, "reason": "starting" } },
        });
        assert_eq!(report, expected);
        stream.pass();
        assert_eq!(health.report().status, "ready");
        stream.fail("no answer");
        assert!(!health.is_ready() && nats.is_passing() && !stream.is_passing());
    }
}
