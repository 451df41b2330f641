use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use tokio::sync::Semaphore;

use super::{PeerAddr, REQUEST_ID_HEADER, RequestId};

/// A service with what every request gets: its extensions, the id in its answer, and a 500 in place of a panic.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    pub(super) inner: S,
    pub(super) peer: SocketAddr,
    pub(super) slots: Arc<Semaphore>,
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
        let id = RequestId::new();
        request.extensions_mut().insert(id);
        request.extensions_mut().insert(PeerAddr(self.peer));
        let inner = self.inner.clone();
        let slots = self.slots.clone();
        Box::pin(async move {
            // The service is asked within the future, so that a panic there is caught as well. What it shares with
            // other requests is behind locks that do not poison.
            let answer = AssertUnwindSafe(async move { inner.call(request).await }).catch_unwind().await;
            let mut response = match answer {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => {
                    tracing::error!(request_id = %id, "request {id} panicked; answered 500");
                    panicked(id)
                }
            };
            response.headers_mut().insert(REQUEST_ID_HEADER, id.header_value());
            if slots.available_permits() == 0 {
                // Others wait for a slot: nobody may keep one for later.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}

fn panicked<B: From<Bytes>>(id: RequestId) -> Response<B> {
    let body =
        serde_json::json!({ "error": "internal", "detail": "internal error", "request_id": id.to_string() });
    let mut response = Response::new(B::from(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
