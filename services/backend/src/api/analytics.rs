//! What dashboards ask. All of it reads sums, never the rows that they are of.

pub(super) mod errors;
pub(super) mod latency;
pub(super) mod webhooks;
pub(super) mod workflows;
