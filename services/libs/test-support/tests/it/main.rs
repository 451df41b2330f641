//! The harness tests itself: on real servers, and that it fails when it should.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod delivery;
mod harness;
mod http;
mod proxy;
mod servers;
