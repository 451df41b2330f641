//! What must hold for any bytes that a stranger sends: the bodies of the fuzz targets.
//!
//! Each target is a function from bytes to "was it accepted", which panics where a property does not hold. Two
//! programs call it: cargo-fuzz, guided by coverage (`services/fuzz`), and a plain test (`tests/generated.rs`) with
//! inputs that [`generate()`] makes of real samples from a seed. So a finding of one can be tried in the other.
//!
//! The properties are told beside their checks; each compares with something written independently: the published
//! JSON Schemas, another decoder of forms, a signature made anew, a walk over the whole document.

#![allow(clippy::unwrap_used, reason = "a broken property stops the program, which is what it is for")]

mod form;
mod generate;
mod generic;
mod github;
mod input;
mod internal;
mod signatures;
mod storable;

pub use generate::{Rng, Seed, generate};

/// One thing that reads what strangers send.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of the cargo-fuzz target, too.
    pub name: &'static str,
    /// Checks the properties for one input, and says whether the input was accepted.
    pub check: fn(&[u8]) -> bool,
    /// Inputs to begin with, most of them acceptable.
    pub seeds: fn() -> Vec<Seed>,
}

/// The headers of all signature schemes.
pub const SIGNATURES: Target =
    Target { name: "signatures", check: signatures::check, seeds: signatures::seeds };
/// The decoder of internal events, against their schemas.
pub const INTERNAL: Target = Target { name: "internal", check: internal::check, seeds: internal::seeds };
/// The decoder of forms.
pub const FORM: Target = Target { name: "form", check: form::check, seeds: form::seeds };
/// What is read from GitHub's bodies.
pub const GITHUB: Target = Target { name: "github", check: github::check, seeds: github::seeds };
/// What is read from the bodies and headers of configured sources.
pub const GENERIC: Target = Target { name: "generic", check: generic::check, seeds: generic::seeds };

/// All targets.
pub const ALL: [Target; 5] = [SIGNATURES, INTERNAL, FORM, GITHUB, GENERIC];
