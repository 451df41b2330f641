use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::LocalError;

/// Where a server shall listen, and which setting says so: a taken port is reported with its name.
#[derive(Debug, Clone, Copy)]
pub struct Listen {
    /// The address; port 0 picks a free one.
    pub addr: SocketAddr,
    /// The setting to change when the port is taken.
    pub setting: &'static str,
}

impl Listen {
    /// An address that came from `setting`.
    pub fn new(addr: SocketAddr, setting: &'static str) -> Self {
        Self { addr, setting }
    }

    /// A free port on loopback.
    pub fn any() -> Self {
        Self::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "the port")
    }

    /// Fails when somebody listens on the port already. The server itself may still lose a race for it, so this only
    /// makes the common case a clear message.
    pub fn check_free(self) -> Result<(), LocalError> {
        self.reserve().map(drop)
    }

    /// The address, with a port that is free at this moment in place of 0.
    pub fn resolve(self) -> Result<SocketAddr, LocalError> {
        self.reserve().map(|reserved| reserved.addr)
    }

    /// The same, and nobody else gets the port until the reservation is dropped. Several addresses that are needed
    /// together are reserved first and then used.
    pub fn reserve(self) -> Result<Reserved, LocalError> {
        if self.addr.port() == 0
            && let Some(reserved) = quiet_ports().find_map(|port| self.at(port).ok())
        {
            return Ok(reserved);
        }
        self.at(self.addr.port())
    }

    fn at(self, port: u16) -> Result<Reserved, LocalError> {
        let Self { mut addr, setting } = self;
        addr.set_port(port);
        let listener = TcpListener::bind(addr).map_err(|source| match source.kind() {
            ErrorKind::AddrInUse => LocalError::PortTaken { addr, setting },
            _ => LocalError::CannotListen { addr, setting, source },
        })?;
        let addr =
            listener.local_addr().map_err(|source| LocalError::CannotListen { addr, setting, source })?;
        Ok(Reserved { addr, _listener: listener })
    }
}

/// A port that is ours until this is dropped.
#[derive(Debug)]
pub struct Reserved {
    /// The address; its port is not 0.
    pub addr: SocketAddr,
    _listener: TcpListener,
}

/// Where to reach what listens on every interface.
pub(crate) fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// Some ports, in no order, that the system gives to no outgoing connection (Linux gives them from 32768 up). The port
/// of a server that was killed must still be free when it is started again, and a busy client could have got it.
fn quiet_ports() -> impl Iterator<Item = u16> {
    const FIRST: u16 = 16_384;
    const COUNT: u16 = 16_384;
    const TRIES: u16 = 64;
    let random = RandomState::new().hash_one(0);
    let start = u16::try_from(random % u64::from(COUNT)).unwrap_or_default();
    (0..TRIES).map(move |step| FIRST + (start + step * 251) % COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_an_error_that_names_port_and_setting() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = holder.local_addr().unwrap();
        let message = Listen::new(addr, "HOOKSTREAM_NATS_ADDR").check_free().unwrap_err().to_string();
        assert!(message.contains(&format!("port {} of 127.0.0.1 is taken", addr.port())), "{message}");
        assert!(message.contains("HOOKSTREAM_NATS_ADDR"), "{message}");
    }

    #[test]
    fn port_0_resolves_to_a_port_that_can_be_used() {
        let addr = Listen::any().resolve().unwrap();
        assert!((16_384..32_768).contains(&addr.port()), "{addr}");
        TcpListener::bind(addr).unwrap();
    }

    #[test]
    fn a_reserved_port_is_given_to_nobody_else() {
        let held: Vec<Reserved> = (0..100).map(|_| Listen::any().reserve().unwrap()).collect();
        let distinct: std::collections::BTreeSet<_> = held.iter().map(|reserved| reserved.addr).collect();
        assert_eq!(distinct.len(), 100);
        assert!(Listen::new(held[0].addr, "A").check_free().is_err());
    }

    #[test]
    fn what_listens_everywhere_is_reached_on_loopback() {
        let reached = |addr: &str| reachable(addr.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(reached("[::]:1"), "[::1]:1");
        assert_eq!(reached("192.0.2.1:1"), "192.0.2.1:1");
    }
}
