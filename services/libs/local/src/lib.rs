//! A private nats-server and Postgres as child processes, for hookstream up and for tests.
//!
//! Everything here blocks, and there is no tokio: callers with a runtime wrap the slow calls (`start`, `stop`, `wait`)
//! in `spawn_blocking`.
//!
//! **Invariant**: no child outlives the process that started it, not even when that one is killed with SIGKILL: see
//! [`process`]. **Invariant**: nothing here installs anything; what is missing is an error that says how to get it.
//!
//! Linux only: it relies on `setpriv` (util-linux) and `/proc`.

mod account;
mod error;
mod files;
pub mod find;
mod listen;
mod nats;
mod passwords;
mod postgres;
pub mod process;
mod scratch;

pub use error::LocalError;
pub use listen::{Listen, Reserved};
pub use nats::{NATS_CONF, NatsOptions, NatsServer};
pub use passwords::{Passwords, ROLES, random_password};
pub use postgres::{PostgresOptions, PostgresServer};
pub use scratch::Scratch;
