use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::ErrorShape;
use super::fault::Fault;

/// Waits for a connection. `None`: this one came to nothing, try the next.
pub(super) async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and complete: waiting for more to send only delays them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(peer = %peer, "connection lost before it began: {error}");
                return None;
            }
            Some((stream, peer))
        }
        Err(error) => {
            if !is_of_one_connection(&error) {
                // Out of file descriptors or memory: accepting again at once would only spin.
                tracing::error!("cannot accept connections: {error}; trying again in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            None
        }
    }
}

/// Tells a client that it has too many connections, as far as it can be told without waiting for it.
pub(super) fn turn_away(stream: &TcpStream, peer: SocketAddr, errors: ErrorShape) {
    tracing::debug!(peer = %peer, "turned {peer} away: its client has too many connections");
    // What does not fit a new socket's buffer at once is not worth more.
    let _ = stream.try_write(&Fault::TooManyConnections.answer(errors));
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
