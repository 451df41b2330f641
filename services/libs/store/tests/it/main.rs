//! The store against a real Postgres.

mod checkpoint;
mod connection;
mod memory;
mod migrations;
mod sql;
mod tls;
mod transaction;
