//! A whole pipeline for end-to-end tests: the real binaries, started by `hookstream up` in a folder of their own.
//!
//! Nothing here reaches into a process: tests see what a user sees, over HTTP, NATS and SQL, and may kill what they like.

mod pipeline;
mod processes;
mod sender;

pub use pipeline::{Pipeline, Start, binary};
pub use processes::{Process, running_below};
pub use sender::{Answer, Delivery, Sender};
