//! What was done to history is told, before it is done, so that the trail can record it.

use std::time::Duration;

use anyhow::Context as _;
use hookstream_bus::Operation;
use hookstream_projection::Projection;

use super::Work;
use crate::operations;

/// How long telling may take.
const BUDGET: Duration = Duration::from_secs(10);

impl<P: Projection, F: Fn() -> anyhow::Result<P>> Work<'_, F> {
    /// Tells of an act. What cannot be told is not done.
    pub(super) async fn tell_act(
        &self,
        act: &str,
        details: impl FnOnce(Operation) -> Operation,
    ) -> anyhow::Result<()> {
        let act = operations::act(act).with("projection", P::NAME);
        let told = self.bus.tell_operation(&details(act), BUDGET).await;
        told.context("tell stream OPERATIONS what is about to be done").map(drop)
    }
}
