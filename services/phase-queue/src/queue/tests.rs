//! Given past steps, when one more is taken, then these phases or this refusal. No I/O, no clock.

mod dispatch;
mod fixtures;
mod matrix;
mod properties;
mod reports;
mod stories;
