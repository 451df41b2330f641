//! The Postgres side: connections, migrations, checkpoints and what the projections share in tables.
//!
//! The only crate that names tokio-postgres. What others need of it is re-exported here: [`Client`],
//! [`Transaction`], [`Row`], [`PgError`] and [`types`] (`ToSql`, `FromSql`, `Json`).
//!
//! **Invariant:** nothing here reads the environment. [`PgSettings::read`] takes a lookup.

mod connection;
mod error;
mod pool;
mod settings;
mod text;
mod tls;
mod transaction;

pub mod checkpoint;
pub mod dead_letters;
pub mod generation;
pub mod leadership;
pub mod memory;
pub mod migrations;

pub use connection::Connection;
pub use error::{Kind, StoreError};
pub use migrations::{CORE, MigrationSet, migrate};
pub use pool::{Pool, PooledClient};
pub use settings::{PgSettings, SessionTimeouts, SettingsError};
pub use text::{clean_json, clean_text};
pub use transaction::{Aftermath, Transaction, together};

pub use postgres_types as types;
pub use tokio_postgres::{Client, Error as PgError, GenericClient, IsolationLevel, Row, Statement};
