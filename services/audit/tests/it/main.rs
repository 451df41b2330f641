//! The audit trail on a real Postgres and, behind the runner, a real nats-server.

mod append_only;
mod checkpoints;
mod entries;
mod everything;
mod inputs;
mod runner;
mod streams;
mod support;
mod tampering;
