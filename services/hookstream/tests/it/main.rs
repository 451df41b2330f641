//! The command as an operator uses it: the real binary, real servers.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod audit_list;
mod command;
mod doctor;
mod flood;
mod help;
mod nats_client;
mod parts;
mod provision;
mod replay;
mod replay_faults;
mod reverify;
mod secret;
mod send;
mod up;
