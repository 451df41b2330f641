//! One accept loop for every HTTP listener: HTTP/1, with a bound on everything a client can hold on to.
//!
//! hyper leaves timers, limits and draining to its user, and the servers built on it leave some of them out. What this
//! loop does not do is read bodies: whoever reads one bounds its size and its time.
//!
//! A connection is let into the `house`, which bounds how many there are of all and of each client. Its bytes go over a
//! `wire`, which shows what comes to `patience` (how long may it take?) and to `framing` (where does a request end?).
//! Each request passes the `guard`; what is wrong before that is a `fault`.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Settings;

mod accept;
mod client;
mod counts;
mod fault;
mod framing;
mod guard;
mod house;
mod limits;
mod patience;
mod request_id;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use fault::Fault;
use framing::Framing;

pub use client::{TrustedProxies, network};
pub use counts::Counts;
pub use fault::ErrorShape;
pub use limits::Limits;
pub use request_id::{REQUEST_ID_HEADER, RequestId};

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
    serve_counted(listener, limits, Counts::default(), service, shutdown).await
}

/// The same, with counts that somebody looks at.
pub async fn serve_counted<S, B>(
    listener: TcpListener,
    limits: Limits,
    counts: Counts,
    service: S,
    shutdown: CancellationToken,
) -> Result<(), GraceExpired>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + From<Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let house = house::House::new(&limits, counts.clone());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = admit(&listener, &house, &limits, &counts) => accepted,
            () = shutdown.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        let Some((stream, peer, place, patience)) = accepted else { continue };
        let framing = wire::SharedFraming::new(Framing::new(limits.header_bytes_max).into());
        let guarded = guard::Guarded {
            inner: service.clone(),
            peer,
            house: house.clone(),
            patience: patience.clone(),
            framing: framing.clone(),
            requests_left: Arc::new(AtomicU64::new(limits.connection_requests_max)),
            errors: limits.errors,
            counts: counts.clone(),
        };
        let timer = patience.timer();
        let (counts, watched) = (counts.clone(), patience.clone());
        let wire = wire::Wire::new(stream, patience, framing, &limits, counts.clone());
        let connection = http1::Builder::new()
            .timer(timer)
            // The timer decides between the two timeouts.
            .header_read_timeout(limits.idle_timeout.max(limits.header_timeout))
            .max_headers(limits.headers_max)
            .max_header_size(limits.header_bytes_max)
            .max_buf_size(limits.header_bytes_max)
            .half_close(limits.outlives_client)
            .serve_connection(wire, guarded);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            let ended = tokio::select! {
                ended = connection => ended,
                () = place.leave.cancelled() => {
                    tracing::debug!(peer = %peer, "connection ended: its place was needed");
                    return;
                }
            };
            if let Err(error) = ended {
                // A connection that rested too long is nobody's fault.
                if error.is_timeout() && watched.is_within_headers() {
                    counts.fault("headers_too_slow");
                }
                tracing::debug!(peer = %peer, "connection ended: {}", crate::exit::chain(&error));
            }
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

type Admitted = (TcpStream, SocketAddr, house::Place, patience::Patience);

/// Waits for a connection that may come in, then for its place. `None`: this one came to nothing, try the next.
async fn admit(
    listener: &TcpListener,
    house: &house::House,
    limits: &Limits,
    counts: &Counts,
) -> Option<Admitted> {
    let (stream, peer) = accept::accept(listener).await?;
    let Some(visit) = house.enter(peer.ip()) else {
        counts.fault(Fault::TooManyConnections.code());
        accept::turn_away(&stream, peer, limits.errors);
        return None;
    };
    let patience = patience::Patience::new(limits.header_timeout, limits.idle_timeout);
    let place = visit.place(patience.clone()).await;
    Some((stream, peer, place, patience))
}
