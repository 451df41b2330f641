//! The backend over HTTP, on a real Postgres and a real nats-server.

mod analytics;
mod answers;
mod filters;
mod freshness;
mod outage;
mod paging;
mod plans;
mod problems;
mod rows;
mod support;
