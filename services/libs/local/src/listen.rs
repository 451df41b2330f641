use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

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

    /// The address with a port that is free at this moment in place of 0.
    pub fn resolve(self) -> Result<SocketAddr, LocalError> {
        let Self { addr, setting } = self;
        self.reserve()?.local_addr().map_err(|source| LocalError::CannotListen { addr, setting, source })
    }

    fn reserve(self) -> Result<TcpListener, LocalError> {
        let Self { addr, setting } = self;
        TcpListener::bind(addr).map_err(|source| match source.kind() {
            ErrorKind::AddrInUse => LocalError::PortTaken { addr, setting },
            _ => LocalError::CannotListen { addr, setting, source },
        })
    }
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
        assert_ne!(addr.port(), 0);
        TcpListener::bind(addr).unwrap();
    }
}
