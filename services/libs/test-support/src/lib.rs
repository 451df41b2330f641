//! Test harness: private servers, a database per test, a proxy that can be cut, signers.
//!
//! A test gets what it asks for or fails: nothing here skips, retries a whole test or sleeps for a while to be safe.
//! So these helpers panic, with a text that says what was not to be had.
//!
//! A crate that tests itself with this one does so in `tests/it/`, not in `src/`: there its types would be different
//! from those that this library was compiled against. [`TestNats::url`] and [`TestDatabase::url`] work everywhere.

mod database;
mod delivery;
mod eventually;
pub mod http;
mod nats;
mod proxy;
mod run;
mod sample;

pub use database::TestDatabase;
pub use delivery::{
    Delivery, GITHUB_SECRET, INTERNAL_SECRET, github_delivery, github_form_delivery, internal_delivery,
    internal_hub_delivery, unique_id,
};
pub use eventually::{Outcome, eventually};
pub use nats::TestNats;
pub use proxy::CutProxy;
pub use run::{TIME_LIMIT, run_test, run_test_within};
pub use sample::SampleEvent;
