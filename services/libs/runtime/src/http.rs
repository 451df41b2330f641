//! One accept loop for every HTTP listener: HTTP/1, with a bound on everything a client can hold on to.
//!
//! hyper leaves timers, limits and draining to its user, and the servers built on it leave some of them out. What this
//! loop does not do is read bodies: whoever reads one bounds its size and its time.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Settings, SettingsError};

mod guard;
mod patience;
mod request_id;
#[cfg(test)]
mod tests;

pub use request_id::{REQUEST_ID_HEADER, RequestId};

/// What a listener's clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at once; more wait in the system's queue.
    pub connections_max: usize,
    /// From a connection's start, or the first byte of a later request, to the end of the headers.
    pub header_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Header fields of a request; more are answered with 431.
    pub headers_max: usize,
    /// Bytes of a request's headers; more are answered with 431.
    pub header_bytes_max: usize,
    /// How long requests in flight may take to end after shutdown.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
            headers_max: 64,
            header_bytes_max: 64 * 1024,
            grace: Duration::from_secs(9),
        }
    }
}

impl Limits {
    /// Reads the settings of the group "HTTP". The drain leaves a tenth of the shutdown grace to those after it.
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            connections_max: settings.parse("HOOKSTREAM_CONNECTIONS_MAX")?,
            header_timeout: settings.duration("HOOKSTREAM_HEADER_TIMEOUT")?,
            idle_timeout: settings.duration("HOOKSTREAM_IDLE_TIMEOUT")?,
            grace: settings.duration("HOOKSTREAM_SHUTDOWN_GRACE")? * 9 / 10,
            ..Self::default()
        })
    }
}

/// Requests were still in flight when the grace period ended.
#[derive(Debug, thiserror::Error)]
#[error("{connections} connections did not end within the grace period")]
pub struct GraceExpired {
    /// How many were cut.
    pub connections: usize,
}

/// Address of the client, or of the proxy in front: an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Binds the address that a setting holds. Names the setting when the address is taken.
pub async fn bind(settings: &Settings, name: &'static str) -> anyhow::Result<TcpListener> {
    let address: String = settings.parse(name)?;
    TcpListener::bind(&address)
        .await
        .map_err(|error| anyhow::Error::new(error).context(format!("listen on {address} ({name})")))
}

/// Serves `service` on `listener` until `shutdown`, then drains: no new connection, requests in flight are answered,
/// and what is left after the grace period is cut.
///
/// Every request carries [`PeerAddr`] and [`RequestId`] as extensions; the id is also in the answer, as
/// [`REQUEST_ID_HEADER`]. A service that panics gives a 500 and harms no other request. An axum router is a service
/// through `hyper_util::service::TowerToHyperService`.
pub async fn serve<S, B>(
    listener: TcpListener,
    limits: Limits,
    service: S,
    shutdown: CancellationToken,
) -> Result<(), GraceExpired>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + From<Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = shutdown.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        let Some((stream, peer, slot)) = accepted else { continue };
        let patience = patience::Patience::new(limits.header_timeout, limits.idle_timeout);
        let service = guard::Guarded { inner: service.clone(), peer, slots: slots.clone() };
        let connection = http1::Builder::new()
            .timer(patience.timer())
            // The timer decides between the two timeouts.
            .header_read_timeout(limits.idle_timeout.max(limits.header_timeout))
            .max_headers(limits.headers_max)
            .max_header_size(limits.header_bytes_max)
            .max_buf_size(limits.header_bytes_max)
            .serve_connection(patience.watch(TokioIo::new(stream)), service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(peer = %peer, "connection ended: {}", crate::exit::chain(&error));
            }
            drop(slot);
        });
    }
    // Whoever connects now is refused, so that a load balancer goes elsewhere at once.
    drop(listener);
    drain(graceful, connections, limits.grace).await
}

async fn drain(
    graceful: GracefulShutdown,
    mut connections: JoinSet<()>,
    grace: Duration,
) -> Result<(), GraceExpired> {
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_ok() {
        return Ok(());
    }
    while connections.try_join_next().is_some() {}
    let left = connections.len();
    connections.shutdown().await;
    if left == 0 { Ok(()) } else { Err(GraceExpired { connections: left }) }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// Waits for a free slot, then for a connection. `None`: this one came to nothing, try the next.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<Accepted> {
    // The semaphore is never closed.
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and complete: waiting for more to send only delays them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(peer = %peer, "connection lost before it began: {error}");
                return None;
            }
            Some((stream, peer, slot))
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

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
