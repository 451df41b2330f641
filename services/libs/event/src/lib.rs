//! What an event *is*: its identity, type, subject, envelope and attributes, and how each source's body becomes them.
//!
//! **Invariant:** this crate is pure. It never reads a clock, opens a socket or starts a task, so everything in it is
//! tested with plain values. Times are handed in.

mod attributes;
mod description;
mod digest;
mod envelope;
pub mod form;
pub mod generic;
pub mod github;
mod id;
pub mod internal;
mod invalid;
mod percent;
mod recorded;
pub mod samples;
pub mod select;
mod subject;

pub use attributes::{ATTRIBUTE_BYTES_MAX, Attributes, attribute};
pub use description::Description;
pub use digest::BodyDigest;
pub use envelope::{Envelope, EnvelopeError, Header, header};
pub use id::{EventId, EventIdError, Source};
pub use internal::InternalEvent;
pub use invalid::{BodyError, InvalidBody};
pub use recorded::RecordedEvent;
pub use subject::{EventType, Subject, Token, TokenError};
