//! The phase queue on a real Postgres and, behind the runner, a real nats-server.

mod announcements;
mod fold;
mod github;
mod plans;
mod queries;
mod runner;
mod support;
mod tables;
