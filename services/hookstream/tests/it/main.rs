//! The command as an operator uses it: the real binary, real servers.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod audit_list;
mod audit_proofs;
mod bench;
mod command;
mod doctor;
mod flood;
mod following;
mod help;
mod nats_client;
mod provision;
mod queue;
mod rebuild;
mod rebuild_faults;
mod replay;
mod replay_faults;
mod reverify;
mod secret;
mod send;
mod tail;
mod unreachable;
mod up;
mod verifier;
mod work;
