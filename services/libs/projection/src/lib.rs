//! The trait [`Projection`] and its runner: a stream becomes tables, effectively once.

mod projection;

pub use projection::{Applied, ApplyError, Claim, ClaimedEvent, Projection, Refused};
