use std::time::Duration;

use hookstream_bus::{Bus, BusError};
use hookstream_runtime::Check;
use tokio_util::sync::CancellationToken;

use crate::{Gateway, STREAM};

/// How often the checks are made while all is well.
const PERIOD: Duration = Duration::from_secs(1);

/// How often while it is not, so that recovery is seen soon.
const PERIOD_FAILING: Duration = Duration::from_millis(100);

/// Room for the headers of a message, in bytes, beside the largest body.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Checks, until `shutdown`, that NATS is connected and that the stream answers and can take the largest body.
pub(crate) async fn watch(gateway: &Gateway, shutdown: CancellationToken) {
    let (nats, stream) = (gateway.admin.health.check("nats"), gateway.admin.health.check("stream"));
    let payload_bytes_min = gateway.config.body.bytes_max + HEADER_BYTES_MAX;
    let check = async {
        loop {
            let connected = gateway.bus.is_connected();
            gateway.metrics.nats_connected.set(i64::from(connected));
            // The log has the details. This page may be seen from outside.
            if connected {
                nats.pass();
                check_stream(&gateway.bus, payload_bytes_min, &stream).await;
            } else {
                nats.fail("not connected");
                stream.fail("not connected");
            }
            let ready = nats.is_passing() && stream.is_passing();
            tokio::time::sleep(if ready { PERIOD } else { PERIOD_FAILING }).await;
        }
    };
    tokio::select! {
        () = check => {}
        () = shutdown.cancelled() => {}
    }
}

async fn check_stream(bus: &Bus, payload_bytes_min: usize, stream: &Check) {
    match bus.stream_state(STREAM).await {
        Ok(_) if bus.max_payload_bytes() < payload_bytes_min => {
            stream.fail(format!(
                "NATS takes messages of {} bytes, the largest body needs {payload_bytes_min}: raise max_payload or \
                 lower HOOKSTREAM_BODY_BYTES_MAX",
                bus.max_payload_bytes()
            ));
        }
        Ok(_) => stream.pass(),
        Err(BusError::StreamMissing(name)) => {
            stream.fail(format!("stream {name} does not exist: run hookstream provision --apply"));
        }
        // The server tells a client of a missing permission aside from the request, which goes unanswered.
        Err(BusError::TimedOut(_)) if !bus.violations().is_empty() => {
            stream.fail("NATS refuses this user: see nats.conf for what the gateway needs");
        }
        Err(_) => stream.fail("no answer"),
    }
}
