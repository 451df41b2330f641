//! The task log on a real Postgres and, behind the runner, a real nats-server.

mod analytics;
mod queries;
mod rollups;
mod rows;
mod runner;
mod support;
