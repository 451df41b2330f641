//! The backend over HTTP, on a real Postgres and a real nats-server.

mod analytics;
mod answers;
mod commands;
mod events;
mod events_outage;
mod filters;
mod freshness;
mod openapi;
mod outage;
mod paging;
mod plans;
mod problems;
mod proofs;
mod rows;
mod support;
mod why;
