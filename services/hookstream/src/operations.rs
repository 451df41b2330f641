//! What the operator's commands do to history, told to the audit trail.

use std::time::Duration;

use hookstream_bus::{Bus, Operation};
use time::OffsetDateTime;

use crate::output::progress;

/// How long telling may take.
const BUDGET: Duration = Duration::from_secs(4);

/// An act of the operator, done just now. Add with [`Operation::with`] what it was done to; never a body or a secret.
pub(crate) fn act(name: &str) -> Operation {
    let by =
        std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok().filter(|user| !user.is_empty());
    let act = Operation::new("operator", name, OffsetDateTime::now_utc());
    match by {
        // What the machine says, which proves nothing: the role is what nats.conf vouches for.
        Some(user) => act.with("by", user),
        None => act,
    }
}

/// Tells the stream of acts, from where the trail takes it; `bus` is connected as the operator. What was done is done, so
/// a failure is said and no more.
pub(crate) async fn tell(bus: &Bus, act: Operation) {
    if let Err(error) = bus.tell_operation(&act, BUDGET).await {
        progress(format_args!("warning: the audit trail will not have this {}: {error}", act.act));
    }
}
