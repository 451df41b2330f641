//! The gateway over real sockets, in front of a real nats-server with the repository's configuration.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod bodies;
mod gateway;
mod headers;
mod history;
mod internal;
mod limits;
mod outages;
mod process;
mod rates;
mod receipts;
mod rejections;
mod replays;
mod rotation;
mod routes;
mod shutdown;
mod signatures;
mod smuggling;
mod sources;
mod stored;
