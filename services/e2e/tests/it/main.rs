//! The whole pipeline: a signed webhook goes in, rows come out, whatever is killed in between.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod crash;
mod deliveries;
mod event_log;
mod journey;
mod phase_crash;
mod phases;
mod restart;
mod rollups;
mod sources;
mod tables;

// The rows that the pure fold of a history makes, as the tests of the phase queue have them.
#[path = "../../../phase-queue/tests/it/tables.rs"]
mod phase_tables;
