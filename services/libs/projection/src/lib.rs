//! The trait [`Projection`] and its runner: a stream becomes tables, effectively once.
//!
//! [`run`] owns everything but the tables: it takes the lead of its projection or stands by, recognises the stream,
//! holds one batch at a time in strict order, claims ids, isolates events that cannot be applied, and commits effects,
//! memory, dead letters and checkpoint in one transaction, before it acks.
//!
//! **Invariant:** there is never more than one batch in hand, and nothing is acked before its commit.
//!
//! **Invariant:** an outage loses nothing and counts against no event.

mod backoff;
mod batch;
mod claims;
mod commit;
mod context;
mod continuity;
mod error;
mod event_log;
mod failure;
mod feed;
mod identity;
mod isolation;
mod leader;
mod metrics;
mod process;
mod projection;
mod retention;
mod runner;
mod settings;
mod verdict;
mod watchdog;

pub use context::Context;
pub use error::RunError;
pub use identity::{StreamChanged, recognise};
pub use process::{context, main, runner_settings};
pub use projection::{Alongside, Applied, ApplyError, Beside, Claim, ClaimedEvent, Projection, Refused};
pub use runner::run;
pub use settings::RunnerSettings;
