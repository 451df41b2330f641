use std::error::Error as _;
use std::io;

use tokio_postgres::Error as PgError;

use crate::Aftermath;

/// What went wrong in or on the way to Postgres. [`StoreError::kind`] says whose fault it is.
///
/// `Display` does not repeat the source: log the chain.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be opened.
    #[error("connect to Postgres at {at}")]
    Connect {
        /// [`PgSettings::describe`](crate::PgSettings::describe).
        at: String,
        /// Why.
        #[source]
        source: PgError,
    },
    /// No connection of the pool came free in time.
    #[error("no connection to Postgres came free in time")]
    PoolTimedOut,
    /// A statement failed.
    #[error("run a statement on Postgres")]
    Statement(#[from] PgError),
    /// A statement, or a whole transaction, took longer than its caller waits.
    #[error("Postgres did not answer within {seconds} s")]
    TimedOut {
        /// How long the caller waited, in seconds.
        seconds: u64,
    },
    /// The session ended while nothing was asked of it.
    #[error("the session on Postgres ended")]
    SessionLost,
    /// Events failed one by one, of some the error may pass, and none succeeded: that is not the events' fault.
    #[error("none of the events in hand ({events}) could be applied, and an error of theirs may pass")]
    NoneApplied {
        /// How many.
        events: usize,
    },
    /// Nothing may be written yet.
    #[error("nothing is written before {0} is known")]
    NotYet(&'static str),
    /// The tables are not as their only writer left them. Waiting mends nothing; a person decides what is true.
    #[error("{0}")]
    Odd(String),
    /// A column holds a value that the code never writes.
    #[error("column {column} holds a value out of range")]
    OutOfRange {
        /// The column's name.
        column: &'static str,
    },
    /// An applied migration differs from the one this build carries.
    #[error(
        "migration {set}/{name} was applied with other contents than this build carries \
         (applied sha256 {applied}, carried {carried}): an applied migration is never edited, add the next one"
    )]
    ChangedMigration {
        /// The set's name.
        set: String,
        /// The migration's name.
        name: String,
        /// Digest recorded when it was applied, in hex.
        applied: String,
        /// Digest of the text in this build, in hex.
        carried: String,
    },
    /// A migration failed; its transaction was rolled back.
    #[error("apply migration {set}/{name}")]
    Migration {
        /// The set's name.
        set: String,
        /// The migration's name.
        name: String,
        /// Why.
        #[source]
        source: PgError,
    },
    /// The checkpoint moved, or its epoch did: another process leads this projection.
    #[error("the checkpoint of {projection} belongs to another process now")]
    Fenced {
        /// The projection's name.
        projection: String,
    },
}

/// Whose fault a [`StoreError`] is, which decides what becomes of the batch in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Postgres is away, full or read-only: wait, for as long as it takes; no event is at fault.
    Outage,
    /// May pass when tried again: a deadlock, a serialization failure, a lock or statement timeout.
    Transient,
    /// The values are at fault: an event in the batch cannot be stored.
    Event,
    /// The schema or the code is at fault: stop.
    Schema,
    /// Another process leads this projection: give up leadership.
    Fenced,
}

impl StoreError {
    /// Classifies by SQLSTATE (Postgres manual, appendix A); an error without one is an outage if the connection
    /// failed, else a fault of the code.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connect { .. }
            | Self::PoolTimedOut
            | Self::TimedOut { .. }
            | Self::SessionLost
            | Self::NotYet(_)
            | Self::NoneApplied { .. } => Kind::Outage,
            // What cannot be applied now is the schema's fault, whatever the code says of values.
            Self::Migration { source, .. } => match kind_of(source) {
                Kind::Event => Kind::Schema,
                kind => kind,
            },
            Self::Statement(error) => kind_of(error),
            Self::ChangedMigration { .. } | Self::OutOfRange { .. } | Self::Odd(_) => Kind::Schema,
            Self::Fenced { .. } => Kind::Fenced,
        }
    }

    /// The five characters of SQLSTATE, if the server answered with an error.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Connect { source: error, .. }
            | Self::Statement(error)
            | Self::Migration { source: error, .. } => {
                error.code().map(tokio_postgres::error::SqlState::code)
            }
            _ => None,
        }
    }

    /// Somebody else holds a lock for too long (`lock_timeout`): never an event's fault.
    pub fn is_lock_timeout(&self) -> bool {
        self.sqlstate() == Some("55P03")
    }

    /// Postgres has no room left on its disk.
    pub fn is_full(&self) -> bool {
        self.sqlstate() == Some("53100")
    }

    /// This error and its sources on one line, as logs and dead letters show it.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

impl Aftermath for StoreError {
    fn is_aftermath(&self) -> bool {
        self.sqlstate() == Some("25P02")
    }
}

fn kind_of(error: &PgError) -> Kind {
    match error.code() {
        Some(state) => kind_of_sqlstate(state.code()),
        None if error.is_closed() => Kind::Outage,
        None => match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
            // Our own message could not be encoded: a text with a zero byte, or one too long for the protocol.
            Some(source) if source.kind() == io::ErrorKind::InvalidInput => Kind::Event,
            Some(_) => Kind::Outage,
            None => Kind::Schema,
        },
    }
}

fn kind_of_sqlstate(state: &str) -> Kind {
    match state {
        // Read-only after a failover; the session was ended for idling in a transaction.
        "25006" | "25P03" => Kind::Outage,
        "55P03" | "57014" => Kind::Transient,
        _ => match &state[..2.min(state.len())] {
            // Connection, resources, operator intervention, authorisation, no such database, system and internal errors.
            "08" | "53" | "57" | "28" | "3D" | "58" | "XX" => Kind::Outage,
            "40" => Kind::Transient,
            // Cardinality, data, constraints, check options, raised by a function, and limits such as an index
            // row's size or the depth of a JSON document.
            "21" | "22" | "23" | "44" | "54" | "P0" => Kind::Event,
            _ => Kind::Schema,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_sqlstate_has_its_kind() {
        let cases: [(Kind, &[&str]); 4] = [
            (
                Kind::Outage,
                &["08006", "57P01", "57P03", "53100", "53300", "25006", "28P01", "3D000", "XX000"],
            ),
            (Kind::Transient, &["40001", "40P01", "55P03", "57014"]),
            (Kind::Event, &["22021", "22P05", "23505", "23514", "21000", "54001", "54000", "P0001"]),
            (Kind::Schema, &["42P01", "42703", "42501", "25P02", "0A000", "26000", ""]),
        ];
        for (kind, states) in cases {
            for state in states {
                assert_eq!(kind_of_sqlstate(state), kind, "{state}");
            }
        }
    }

    #[test]
    fn waiting_too_long_is_an_outage_and_a_lost_checkpoint_is_fencing() {
        assert_eq!(StoreError::TimedOut { seconds: 60 }.kind(), Kind::Outage);
        assert_eq!(StoreError::Fenced { projection: "audit".to_owned() }.kind(), Kind::Fenced);
    }
}
