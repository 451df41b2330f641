//! The bus against a real nats-server with the repository's nats.conf and streams.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod configuration;
mod group_commit;
mod harness;
mod outage;
mod publish;
mod pull;
mod reader;
mod republish;
mod roles;
mod topology;
mod work;
