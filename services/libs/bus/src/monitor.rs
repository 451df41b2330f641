//! The server's monitoring pages: what cannot be asked over NATS itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde::Deserialize;

/// How the server keeps what it acks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// It syncs every message to the disk before it acks it: `sync_interval: always`.
    pub sync_always: bool,
    /// Folder of the streams, on the server's machine.
    pub store_dir: String,
    /// Bytes that all streams together may hold.
    pub store_bytes_max: u64,
}

/// The monitoring page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The address is none, such as `http://127.0.0.1:8222`.
    #[error("not the address of a monitoring port, such as http://127.0.0.1:8222")]
    Address,
    /// No answer.
    #[error("the monitoring port does not answer")]
    Io(#[from] std::io::Error),
    /// The answer is not what the server's `/varz` holds.
    #[error("unreadable answer from the monitoring port")]
    Unreadable,
}

/// Asks the server's `/varz` how it keeps what it acks. `url` is `http://<host>:<port>` or `<host>:<port>`.
pub async fn durability(url: &str) -> Result<Durability, MonitorError> {
    let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/').to_owned();
    let page = tokio::task::spawn_blocking(move || page(&address, "/varz"));
    let page = page.await.map_err(|_| MonitorError::Unreadable)??;
    let page: Varz = serde_json::from_str(&page).map_err(|_| MonitorError::Unreadable)?;
    let config = page.jetstream.config.unwrap_or_default();
    Ok(Durability {
        sync_always: config.sync_always,
        store_dir: config.store_dir,
        store_bytes_max: config.max_storage,
    })
}

#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    /// Absent where JetStream is off.
    config: Option<Config>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    sync_always: bool,
    store_dir: String,
    max_storage: u64,
}

/// How long connecting to one address, and each wait for bytes, may take.
const TIMEOUT: Duration = Duration::from_secs(4);

/// One page over HTTP/1.0: the answer ends with the connection. A client library would be the only other use of one here.
fn page(address: &str, path: &str) -> Result<String, MonitorError> {
    const PAGE_BYTES_MAX: u64 = 1 << 20;
    let targets: Vec<SocketAddr> =
        address.to_socket_addrs().map(Iterator::collect).map_err(|_| MonitorError::Address)?;
    let mut stream = connect(&targets)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(PAGE_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(MonitorError::Unreadable)?;
    let ok = head.split(' ').nth(1) == Some("200");
    ok.then(|| body.to_owned()).ok_or(MonitorError::Unreadable)
}

/// `localhost` is two addresses, and the server listens on one of them.
fn connect(targets: &[SocketAddr]) -> Result<TcpStream, MonitorError> {
    let mut outcome = Err(MonitorError::Address);
    for target in targets {
        outcome = TcpStream::connect_timeout(target, TIMEOUT).map_err(MonitorError::from);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_is_found_at_any_address_of_its_name() {
        let [quiet, server] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let targets = [&quiet, &server].map(|listener| listener.local_addr().unwrap());
        drop(quiet);
        assert_eq!(connect(&targets).unwrap().peer_addr().unwrap(), targets[1]);
        assert!(matches!(connect(&targets[..1]), Err(MonitorError::Io(_))));
        assert!(matches!(connect(&[]), Err(MonitorError::Address)));
    }
}
