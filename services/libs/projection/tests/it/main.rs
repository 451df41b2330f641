//! The runner against a real nats-server and Postgres, with a projection that fails on demand.

mod claims;
mod crashes;
mod follows;
mod harness;
mod leadership;
mod operator;
mod outages;
mod passing;
mod poison;
mod probe;
mod streams;
