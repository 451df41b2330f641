//! Is NATS there, new enough, durable, and does it have our streams?

use std::time::Duration;

use hookstream_bus::topology::Topology;
use hookstream_bus::{Bus, NatsSettings, monitor};
use hookstream_runtime::{Settings, exit};

use super::finding::Finding;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The oldest nats-server that can rewind a consumer in place.
const MINIMUM: (u64, u64, u64) = (2, 14, 0);
/// Room that a message's headers may take beside the body, in bytes.
const HEADER_BYTES_MAX: u64 = 64 * 1024;

pub(super) async fn examine(settings: &Settings) -> anyhow::Result<Vec<Finding>> {
    let nats = NatsSettings::read(&|name| settings.get(name), "operator")?;
    let mut findings = Vec::new();
    let at = nats.addresses().join(", ");
    let bus = match reach(&nats).await {
        Ok(bus) => bus,
        Err(error) => {
            let advice = "start nats-server (deploy/up starts one), or correct NATS_URL; the user is `operator` of \
                          nats.conf with its password";
            findings.push(Finding::fail("nats", format!("{at}: {error}"), advice));
            findings.push(durability(settings).await);
            findings.push(Finding::skip("streams", "NATS cannot be reached", "see check nats"));
            return Ok(findings);
        }
    };
    findings.push(version(&bus, &at));
    findings.push(payload(&bus, settings));
    findings.push(durability(settings).await);
    findings.extend(streams(&bus).await);
    bus.drain().await;
    Ok(findings)
}

async fn reach(settings: &NatsSettings) -> Result<Bus, String> {
    let bus = Bus::connect(settings).await.map_err(|error| exit::chain(&error))?;
    bus.wait_connected(CONNECT_WITHIN).await.map_err(|error| exit::chain(&error))?;
    Ok(bus)
}

fn version(bus: &Bus, at: &str) -> Finding {
    let Some(found) = bus.server_version() else {
        return Finding::warn(
            "nats",
            format!("{at}: tells no version"),
            "hookstream needs nats-server 2.14 or newer",
        );
    };
    let (major, minor, patch) = found;
    let text = format!("nats-server {major}.{minor}.{patch} at {at}");
    if found >= MINIMUM {
        return Finding::ok("nats", text);
    }
    let advice =
        "use nats-server 2.14 or newer: projections rewind their consumers in place, which older ones cannot";
    Finding::fail("nats", text, advice)
}

fn payload(bus: &Bus, settings: &Settings) -> Finding {
    const CHECK: &str = "nats payload";
    let body = settings.parse::<u64>("HOOKSTREAM_BODY_BYTES_MAX").unwrap_or_default();
    let (largest, wanted) = (bus.max_payload_bytes() as u64, body + HEADER_BYTES_MAX);
    let found = format!("messages of up to {largest} bytes");
    if largest >= wanted {
        return Finding::ok(CHECK, found);
    }
    let advice = format!(
        "set max_payload to at least {wanted} bytes (26MB in nats.conf), or lower HOOKSTREAM_BODY_BYTES_MAX: larger \
         webhooks are refused"
    );
    Finding::fail(CHECK, found, advice)
}

/// Whether an acked message survives a power cut. Only the monitoring pages tell.
async fn durability(settings: &Settings) -> Finding {
    const CHECK: &str = "nats sync";
    let Some(url) = settings.get("NATS_MONITOR_URL") else {
        let advice = "set NATS_MONITOR_URL to the server's monitoring address, such as http://127.0.0.1:8222; without \
                      `sync_interval: always` a power cut loses webhooks that were answered with 2xx";
        return Finding::skip(CHECK, "NATS_MONITOR_URL is not set", advice);
    };
    match monitor::durability(&url).await {
        Ok(durability) if durability.sync_always => {
            Finding::ok(CHECK, format!("every message is synced to {} before its ack", durability.store_dir))
        }
        Ok(_) => {
            let advice = "add `sync_interval: always` to the block `jetstream` of the server's configuration, as in \
                          nats.conf, and restart it: a power cut now loses webhooks that were answered with 2xx";
            Finding::fail(CHECK, "messages are acked before they are on disk", advice)
        }
        Err(error) => {
            let advice = "correct NATS_MONITOR_URL, or open the monitoring port (`http:` in nats.conf) to this machine";
            Finding::fail(CHECK, format!("{url}: {}", exit::chain(&error)), advice)
        }
    }
}

async fn streams(bus: &Bus) -> Vec<Finding> {
    const CHECK: &str = "streams";
    match Topology::embedded().plan(bus).await {
        Ok(differences) if differences.is_empty() => {
            vec![Finding::ok(CHECK, "streams and consumers are as they should be")]
        }
        Ok(differences) => differences
            .into_iter()
            .map(|difference| {
                Finding::fail(CHECK, difference.to_string(), "run `hookstream provision --apply`")
            })
            .collect(),
        Err(error) => {
            let refused = bus.violations().join("; ");
            let found = if refused.is_empty() { exit::chain(&error) } else { refused };
            let advice = "log in as user `operator` of nats.conf, and see that JetStream is on";
            vec![Finding::fail(CHECK, found, advice)]
        }
    }
}
