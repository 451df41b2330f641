//! What every process needs: settings, logging, supervision, HTTP accept loop, health and metrics, exit codes.
//!
//! A `main` reads [`Settings`], then hands [`process::run`] what it is made of:
//!
//! ```no_run
//! use hookstream_runtime::{ProcessInfo, Settings, exit, process};
//!
//! fn main() -> std::process::ExitCode {
//!     let info = ProcessInfo { name: "hookstream-gateway", about: "Takes webhooks", version: env!("CARGO_PKG_VERSION") };
//!     let settings = match Settings::load(&info) {
//!         Ok(settings) => settings,
//!         Err(error) => return exit::bad_config(&error),
//!     };
//!     process::run(&info, &settings, async |supervisor| {
//!         let shutdown = supervisor.shutdown();
//!         supervisor.spawn("wait", async move {
//!             shutdown.cancelled().await;
//!             Ok(())
//!         });
//!         Ok(())
//!     })
//! }
//! ```
//!
//! **Invariant:** nothing here knows NATS or Postgres.

pub mod admin;
pub mod exit;
pub mod health;
pub mod http;
pub mod log;
pub mod metrics;
pub mod process;
pub mod settings;
pub mod supervise;
mod unique;

pub use health::{Check, Health};
pub use metrics::Metrics;
pub use settings::{ProcessInfo, Settings, SettingsError};
pub use supervise::Supervisor;
pub use unique::unique_id;
