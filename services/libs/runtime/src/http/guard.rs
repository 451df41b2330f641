use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::Service;
use hyper::{Request, Response};

use super::counts::Counts;
use super::fault::{ErrorShape, Fault};
use super::house::House;
use super::patience::Patience;
use super::wire::SharedFraming;
use super::{PeerAddr, REQUEST_ID_HEADER, RequestId};

/// A service with what every request gets: its extensions, the id in its answer, a 400 if its framing is not beyond
/// doubt, and a 500 in place of a panic.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    pub(super) inner: S,
    pub(super) peer: SocketAddr,
    pub(super) house: House,
    pub(super) patience: Patience,
    pub(super) framing: SharedFraming,
    /// Of this connection.
    pub(super) requests_left: Arc<AtomicU64>,
    pub(super) errors: ErrorShape,
    pub(super) counts: Counts,
}

impl<S, B> Service<Request<Incoming>> for Guarded<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: From<Bytes> + Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.patience.request_came();
        let verdict = self.framing.lock().unwrap_or_else(PoisonError::into_inner).verdict();
        let id = RequestId::new();
        request.extensions_mut().insert(id);
        request.extensions_mut().insert(PeerAddr(self.peer));
        let (inner, house, errors) = (self.inner.clone(), self.house.clone(), self.errors);
        let counts = self.counts.clone();
        let last = self.requests_left.fetch_sub(1, Ordering::Relaxed) <= 1;
        Box::pin(async move {
            let mut response = match verdict {
                // The service is asked within the future, so that a panic there is caught as well. What it shares with
                // other requests is behind locks that do not poison.
                Ok(()) => {
                    match AssertUnwindSafe(async move { inner.call(request).await }).catch_unwind().await {
                        Ok(Ok(response)) => response,
                        Ok(Err(never)) => match never {},
                        Err(_) => {
                            tracing::error!(request_id = %id, "request {id} panicked; answered 500");
                            counts.fault(Fault::Internal.code());
                            Fault::Internal.response(errors, id)
                        }
                    }
                }
                Err(how) => {
                    tracing::debug!(request_id = %id, "refused request {id}: {how}");
                    counts.fault(Fault::Ambiguous(how).code());
                    Fault::Ambiguous(how).response(errors, id)
                }
            };
            response.headers_mut().insert(REQUEST_ID_HEADER, id.header_value());
            // Nobody keeps a place for later that others wait for, and none for ever.
            if verdict.is_err() || last || house.is_full() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}
