//! Webhook signature schemes, one module each: raw bytes in, [`Verified`] out.
//!
//! | module | scheme | header |
//! | --- | --- | --- |
//! | [`hub`] | GitHub's HMAC-SHA-256 over the body | `X-Hub-Signature-256` |
//! | [`standard_webhooks`] | Standard Webhooks: HMAC-SHA-256 over id, time and body | `webhook-id`, `webhook-timestamp`, `webhook-signature` |
//!
//! Rules that every scheme here keeps:
//! - The exact bytes received are verified, before anything parses them.
//! - Exactly one value per header. A signature is decoded to 32 bytes first, so neither a short tag nor another
//!   spelling of a good one can pass for it.
//! - Every active key is tried, in constant time and without an early exit.
//!
//! **Invariant:** this crate is pure. It reads no clock: who calls it hands in the time. Secrets appear in no `Debug`
//! or `Display` output.

mod error;
pub mod hub;
mod keyring;
pub mod standard_webhooks;
mod verified;

pub use error::VerifyError;
pub use keyring::{Key, KeyError, Keyring};
pub use verified::Verified;
