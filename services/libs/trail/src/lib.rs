//! The audit trail as mathematics: how an entry is encoded and hashed, how entries are chained, the Merkle tree over
//! them, signed checkpoints of it, and the proofs that a stranger checks.
//!
//! **Invariant:** this crate is pure. It never reads a clock, opens a socket or a database: a proof is checked with
//! nothing but the proof and a public key.
//!
//! `schemas/postgres/audit/README.md` describes all of it for those who write a verifier of their own; `vectors.json`
//! beside it has entries, trees and checkpoints that tests here hold to.

pub mod chain;
mod checkpoint;
pub mod entry;
mod hash;
pub mod note;
mod proof;
pub mod resumption;
pub mod tree;

pub use chain::{Broken, Fault, Head};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use entry::{Entry, Micros, Record, kind};
pub use hash::{GENESIS, Hash};
pub use proof::{Proof, ProofError};
pub use resumption::Resumption;
