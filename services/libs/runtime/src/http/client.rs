//! Who a request comes from, as far as addresses tell.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use ipnet::IpNet;

use crate::{Settings, SettingsError};

/// The proxies in front of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads addresses and networks, separated by commas: `10.0.0.0/8, 2001:db8::1`. Nothing is trusted by default.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(parse_network).collect::<Option<_>>().map(Self)
    }

    /// Reads the setting.
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        const PROXIES: &str = "HOOKSTREAM_TRUSTED_PROXIES";
        Self::parse(&settings.get(PROXIES).unwrap_or_default()).ok_or_else(|| {
            settings.invalid(PROXIES, "must be addresses or networks such as 10.0.0.0/8, separated by commas")
        })
    }

    /// Whether this is the address of one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client of a request. What `X-Forwarded-For` says is believed as far as trusted proxies wrote it: each
    /// appends whom it heard it from, so the right-most address that is not one of theirs is the client's, and whatever
    /// is left of that is the client's own invention.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let lines: Vec<&[u8]> =
            headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes).collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        for hop in hops {
            // Nobody knows what a proxy that writes something else means by it.
            let Some(address) = parse_hop(hop) else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// A network, or an address as one. IPv4 written as IPv6 is IPv4, as clients are.
fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok().or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)))?;
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(length)) => IpNet::new(address, length).ok(),
        _ => Some(network),
    }
}

/// An address, with or without a port.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(hop.trim_ascii()).ok()?;
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    Some(address.or_else(bracketed)?.to_canonical())
}

/// What one client can be told by: its address, or for IPv6 its /64, which is the least that anybody is given.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (!0 << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_ipv6_is_its_64() {
        for (address, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ] {
            assert_eq!(network(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap(), "{address}");
        }
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let proxies = TrustedProxies::parse("10.0.0.0/8, 2001:db8::1").unwrap();
        for (peer, lines, client) in [
            ("203.0.113.7", &["198.51.100.1"] as &[&'static str], "203.0.113.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::1", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::2", &["198.51.100.1"], "2001:db8::2"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1 , 10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", &["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::9]:4711"], "2001:db8::9"),
            ("10.0.0.1", &["[2001:db8::9]"], "2001:db8::9"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1,, 10.2.2.2"], "10.2.2.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            let found = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        assert_eq!(TrustedProxies::parse(""), Some(TrustedProxies::default()));
        let mapped = TrustedProxies::parse("::ffff:10.0.0.0/104, ::ffff:192.0.2.1");
        assert_eq!(mapped, TrustedProxies::parse("10.0.0.0/8, 192.0.2.1"));
        for wrong in ["10.0.0.0/33", "proxy.example", "10.0.0.0/8;10.1.0.0/16", "*"] {
            assert_eq!(TrustedProxies::parse(wrong), None, "{wrong}");
        }
    }
}
