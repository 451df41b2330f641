//! The JetStream side: connect, provision, publish and pull; the only crate that names async-nats.
//!
//! **Invariant:** every wait in here has a bound. The NATS client queues commands while it is disconnected and may then
//! wait for ever, so each operation first looks at the connection and then runs inside a timeout.
//!
//! **Invariant:** times are whole microseconds, which is what Postgres keeps; a time that went through a table compares
//! equal to the one read here.

mod api;
mod append;
mod batch;
mod broadcast;
mod commit;
mod connection;
mod consumer;
mod error;
mod message;
pub mod monitor;
mod operations;
mod ordered;
mod outgoing;
mod publisher;
mod reader;
mod settings;
mod stream;
mod subscription;
pub mod topology;
mod work;

pub use commit::{Commit, GroupCommit};
pub use connection::Bus;
pub use consumer::{Consumer, ConsumerState, PullLimits};
pub use error::{BusError, PublishError};
pub use message::{Message, Undecodable};
pub use operations::Operation;
pub use ordered::Unsent;
pub use publisher::{Publisher, Receipt};
pub use reader::{Ahead, Reader, Selection, Start};
pub use settings::{NatsSettings, SettingsError};
pub use stream::{StoredMessage, StreamState};
pub use subscription::{Received, Subscription};
