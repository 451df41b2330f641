//! What commands share that speak to NATS and Postgres themselves.

use std::time::Duration;

use anyhow::Context as _;
use hookstream_bus::{Bus, BusError, NatsSettings};
use hookstream_runtime::Settings;
use hookstream_store::{Connection, PgSettings};
use tokio::time::Instant;

/// Role in nats.conf.
pub(crate) const ROLE: &str = "operator";

/// How long a connection to NATS may take.
const NATS_WITHIN: Duration = Duration::from_secs(10);

/// How long a session on Postgres may take to open.
const POSTGRES_WITHIN: Duration = Duration::from_secs(15);

/// Connects to NATS as the operator.
pub(crate) async fn connect(settings: &Settings) -> anyhow::Result<Bus> {
    connect_as(ROLE, &NatsSettings::read(&|name| settings.get(name), ROLE)?).await
}

/// Connects to NATS. The error says what to do about it.
pub(crate) async fn connect_as(role: &str, nats: &NatsSettings) -> anyhow::Result<Bus> {
    let at = nats.addresses().join(", ");
    let connected = async {
        let bus = Bus::connect(nats).await?;
        bus.wait_connected(NATS_WITHIN).await?;
        Ok(bus)
    };
    connected.await.map_err(|error: BusError| {
        let advice = match error {
            BusError::LoginRefused => format!(
                " (log in as the role {role} of nats.conf with its password: NATS_URL, or NATS_USER and \
                 NATS_PASSWORD)"
            ),
            BusError::Disconnected(_) => {
                format!(
                    " within {} s (start it, as `hookstream up` does, or correct NATS_URL)",
                    NATS_WITHIN.as_secs()
                )
            }
            _ => String::new(),
        };
        anyhow::Error::from(error).context(format!("cannot connect to NATS at {at}{advice}"))
    })
}

/// Opens a session on Postgres. The error says what to do about it.
pub(crate) async fn session(postgres: &PgSettings, name: &str) -> anyhow::Result<Connection> {
    const ADVICE: &str =
        "no session (start Postgres, as `hookstream up` does, or correct DATABASE_URL, or PGHOST, PGUSER, …)";
    let silent = || format!("{} did not answer within {} s", postgres.describe(), POSTGRES_WITHIN.as_secs());
    let opened = tokio::time::timeout(POSTGRES_WITHIN, Connection::open(postgres, name)).await;
    opened.with_context(silent).context(ADVICE)?.context(ADVICE)
}

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
        Some(violation) if silent => error.context(refusal(violation, ROLE)),
        _ => error,
    }
}

/// What to say, and to do, about a refused permission.
pub(crate) fn refusal(violation: &str, role: &str) -> String {
    format!("NATS refuses this user ({violation}): log in as the role {role} of nats.conf")
}
