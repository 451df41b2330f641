//! Where everything listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use anyhow::Context as _;
use hookstream_local::Listen;
use hookstream_runtime::Settings;

use crate::settings::is_default;

/// Where the projections serve health and metrics unless told otherwise: this port and the following.
const METRICS: &str = "127.0.0.1:9101";

/// An address for everything that listens. Port 0 has become a port that was free a moment ago; a process that is
/// started again gets the same one.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    pub(super) gateway: SocketAddr,
    pub(super) backend: SocketAddr,
    pub(super) nats: Listen,
    pub(super) monitor: Listen,
    pub(super) postgres: Listen,
    pub(super) phase_queue: SocketAddr,
    pub(super) task_log: SocketAddr,
    pub(super) audit: SocketAddr,
}

impl Addresses {
    /// Reads the settings; a port that is taken is an error that names it.
    pub(super) fn choose(settings: &Settings) -> anyhow::Result<Self> {
        // All are held until all are chosen, so that no two get the same.
        let mut held = Vec::new();
        let mut reserve = |listen: Listen| -> anyhow::Result<SocketAddr> {
            let reserved = listen.reserve()?;
            let addr = reserved.addr;
            held.push(reserved);
            Ok(addr)
        };
        let mut listen = |name: &'static str| -> anyhow::Result<Listen> {
            let listen = Listen::new(setting(settings, name)?, name);
            Ok(Listen::new(reserve(listen)?, name))
        };
        let gateway = listen("HOOKSTREAM_GATEWAY_ADDR")?.addr;
        let backend = listen("HOOKSTREAM_BACKEND_ADDR")?.addr;
        let nats = listen("HOOKSTREAM_NATS_ADDR")?;
        let monitor = listen("HOOKSTREAM_NATS_MONITOR_ADDR")?;
        let postgres = listen("HOOKSTREAM_POSTGRES_ADDR")?;
        let [phase_queue, task_log, audit] =
            metrics(settings)?.map(|addr| reserve(Listen::new(addr, "HOOKSTREAM_METRICS_ADDR")));
        Ok(Self {
            gateway,
            backend,
            nats,
            monitor,
            postgres,
            phase_queue: phase_queue?,
            task_log: task_log?,
            audit: audit?,
        })
    }
}

/// Three addresses from one: its port and the next two, or three free ports.
fn metrics(settings: &Settings) -> anyhow::Result<[SocketAddr; 3]> {
    const NAME: &str = "HOOKSTREAM_METRICS_ADDR";
    let first = if is_default(settings, NAME) { METRICS.parse()? } else { setting(settings, NAME)? };
    let port = |step: u16| match first.port() {
        0 => Some(0),
        port => port.checked_add(step),
    };
    let at = |step| {
        let port = port(step).with_context(|| format!("{NAME}: there are no three ports from {first}"))?;
        anyhow::Ok(SocketAddr::new(first.ip(), port))
    };
    Ok([at(0)?, at(1)?, at(2)?])
}

fn setting(settings: &Settings, name: &str) -> anyhow::Result<SocketAddr> {
    let text = settings.parse::<String>(name)?;
    let mut found = text.to_socket_addrs().with_context(|| format!("{name}: look up {text}"))?;
    found.next().with_context(|| format!("{name}: {text} has no address"))
}

/// The URL under which something that listens on `addr` is reached from this machine.
pub(super) fn url(addr: SocketAddr) -> String {
    let ip: IpAddr = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, addr.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    fn zero() -> Vec<(&'static str, String)> {
        ["GATEWAY", "BACKEND", "NATS", "METRICS"]
            .map(|what| match what {
                "GATEWAY" => "HOOKSTREAM_GATEWAY_ADDR",
                "BACKEND" => "HOOKSTREAM_BACKEND_ADDR",
                "NATS" => "HOOKSTREAM_NATS_ADDR",
                _ => "HOOKSTREAM_METRICS_ADDR",
            })
            .map(|name| (name, "127.0.0.1:0".to_owned()))
            .to_vec()
    }

    #[test]
    fn port_0_everywhere_gives_eight_distinct_ports() {
        let chosen = Addresses::choose(&Settings::from_pairs(zero())).unwrap();
        let all =
            [chosen.gateway, chosen.backend, chosen.nats.addr, chosen.monitor.addr, chosen.postgres.addr];
        let metrics = [chosen.phase_queue, chosen.task_log, chosen.audit];
        let ports: BTreeSet<u16> = all.iter().chain(&metrics).map(SocketAddr::port).collect();
        assert_eq!(ports.len(), 8);
        assert!(!ports.contains(&0));
    }

    #[test]
    fn a_taken_port_is_named_with_its_setting() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = holder.local_addr().unwrap();
        for name in ["HOOKSTREAM_GATEWAY_ADDR", "HOOKSTREAM_NATS_ADDR", "HOOKSTREAM_METRICS_ADDR"] {
            let settings = zero().into_iter().filter(|(known, _)| *known != name);
            let settings = Settings::from_pairs(settings.chain([(name, addr.to_string())]));
            let message = Addresses::choose(&settings).unwrap_err().to_string();
            assert!(message.contains(&format!("port {} ", addr.port())), "{message}");
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn what_listens_everywhere_is_reached_on_loopback() {
        assert_eq!(url("0.0.0.0:8001".parse().unwrap()), "http://127.0.0.1:8001");
        assert_eq!(url("[::]:8001".parse().unwrap()), "http://[::1]:8001");
    }
}
