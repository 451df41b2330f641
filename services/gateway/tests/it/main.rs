//! The gateway over real sockets, in front of a real nats-server with the repository's configuration.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod bodies;
mod executable;
mod gateway;
mod headers;
mod history;
mod hostile;
mod internal;
mod load;
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
mod sources;
mod stored;
