use std::time::Duration;

use hookstream_bus::BusError;
use hookstream_store::StoreError;

use crate::StreamChanged;

/// Why a projection stopped although nobody asked it to. Outages are no reason: they are waited out.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The stream is not the one that the checkpoint was made on.
    #[error(transparent)]
    Stream(#[from] StreamChanged),
    /// The schema or the projection's SQL is wrong.
    #[error("Postgres cannot do what {projection} asks of it")]
    Schema {
        /// Which projection.
        projection: &'static str,
        /// What it says.
        #[source]
        source: StoreError,
    },
    /// A batch failed in a way that no dead letter can end.
    #[error("{projection} cannot apply a batch, nor find the event at fault: {error}")]
    Batch {
        /// Which projection.
        projection: &'static str,
        /// What happened.
        error: String,
    },
    /// Postgres has no room left, and what it is for need not be: a generation that is filled aside.
    #[error("Postgres has no room left for another generation of {projection}")]
    Full {
        /// Which projection.
        projection: &'static str,
        /// What it says.
        #[source]
        source: StoreError,
    },
    /// The projection's own tables are not as it left them.
    #[error("{projection} stopped: {reason}")]
    Halted {
        /// Which projection.
        projection: &'static str,
        /// What was found, and what helps.
        reason: String,
    },
    /// The connection to NATS cannot even be tried: a file of its settings is missing or malformed.
    #[error("connect to NATS")]
    Nats(#[source] BusError),
    /// There is work, but the consumer hands out none, however often it is rewound.
    #[error(
        "the consumer of {projection} has {pending} events for it but hands out none, after {rewinds} rewinds {after:?} \
         apart; started anew it may"
    )]
    Stalled {
        /// Which projection.
        projection: &'static str,
        /// How many events wait.
        pending: u64,
        /// How often it was rewound.
        rewinds: u32,
        /// How long each rewind was given.
        after: Duration,
    },
}

impl RunError {
    /// Of an error that is the fault of schema or tables.
    pub(crate) fn of_schema(projection: &'static str, source: StoreError) -> Self {
        match source {
            StoreError::Odd(reason) => Self::Halted { projection, reason },
            source => Self::Schema { projection, source },
        }
    }
}
