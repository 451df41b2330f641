//! What commands that read the stream as the operator share.

use std::time::Duration;

use anyhow::Context as _;
use hookstream_bus::{Bus, BusError};
use tokio::time::Instant;

pub(crate) use crate::provision::connect;

/// Leaves the processor to whoever else wants it.
pub(crate) fn lowest_priority() {
    // Refused or not, the command runs.
    let _ = rustix::process::nice(19);
}

/// Asks until NATS answers, at most for `limit`; what waiting does not mend is returned at once.
pub(crate) async fn wait_out<T>(
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, BusError>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let passes = matches!(
            error,
            BusError::Disconnected(_)
                | BusError::TimedOut(_)
                | BusError::NoResponders
                | BusError::ConsumerMissing { .. }
        );
        if !passes || Instant::now() >= deadline {
            return Err(error).with_context(|| format!("NATS, asked for {} s", limit.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A request that a user may not make gets no answer; what the server said about it is the better explanation.
pub(crate) fn explain(bus: &Bus, error: anyhow::Error) -> anyhow::Error {
    let silent = error.chain().any(|cause| matches!(cause.downcast_ref(), Some(BusError::TimedOut(_))));
    match bus.violations().first() {
        Some(violation) if silent => error.context(format!(
            "NATS refuses this user ({violation}): log in as the role operator of nats.conf"
        )),
        _ => error,
    }
}
