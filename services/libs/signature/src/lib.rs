//! Webhook signature schemes, one module each: raw bytes in, [`Verified`] out.
//!
//! | module | scheme | header |
//! | --- | --- | --- |
//! | [`hub`] | GitHub's HMAC-SHA-256 over the body | `X-Hub-Signature-256` |
//! | [`standard_webhooks`] | Standard Webhooks: HMAC-SHA-256 over id, time and body | `webhook-id`, `webhook-timestamp`, `webhook-signature` |
//! | [`stripe`] | Stripe: HMAC-SHA-256 over time and body | `Stripe-Signature` |
//! | [`slack`] | Slack: HMAC-SHA-256 over time and body | `X-Slack-Request-Timestamp`, `X-Slack-Signature` |
//! | [`gitlab`] | GitLab: the secret itself | `X-Gitlab-Token` |
//! | [`hmac`] | anybody's HMAC-SHA-256 over the body | any |
//!
//! Rules that every scheme here keeps:
//! - The exact bytes received are verified, before anything parses them.
//! - Exactly one value per header. A signature is decoded to 32 bytes first, so neither a short tag nor another
//!   spelling of a good one can pass for it.
//! - Every key is tried, in constant time and without an early exit. One that has expired says so and verifies
//!   nothing, from its second on.
//!
//! **Invariant:** this crate is pure. It reads no clock: who calls it hands in the time. Secrets appear in no `Debug`
//! or `Display` output.

mod error;
pub mod gitlab;
mod hex;
pub mod hmac;
pub mod hub;
mod keyring;
pub mod slack;
pub mod standard_webhooks;
pub mod stripe;
mod timestamp;
mod verified;

pub use error::VerifyError;
pub use keyring::{Key, KeyError, Keyring};
pub use timestamp::TOLERANCE_SECONDS;
pub use verified::Verified;
