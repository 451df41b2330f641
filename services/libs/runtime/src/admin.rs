//! `/healthz`, `/readyz` and `/metrics`: the same answers on every listener that has them.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};

use crate::http::{ErrorShape, Fault, Limits, RequestId, bind, serve};
use crate::{Health, Metrics, Settings, Supervisor, metrics};

/// What the pages are made of.
#[derive(Debug, Clone)]
pub struct Admin {
    /// For `/readyz`.
    pub health: Health,
    /// For `/metrics`.
    pub metrics: Metrics,
}

impl Admin {
    /// The page that a request asks for: `/healthz` (also `/health` and `/ping`), `/readyz`, `/metrics`. `None`: not one
    /// of them.
    pub fn answer<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        let page: fn(&Self) -> Response<Full<Bytes>> = match request.uri().path() {
            "/healthz" | "/health" | "/ping" => |_| alive(),
            "/readyz" => Self::readiness,
            "/metrics" => Self::metrics,
            _ => return None,
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = refused(Fault::PageMethod, request);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(response);
        }
        Some(page(self))
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        let report = self.health.report();
        let ready = report.checks.values().all(|check| check.ok);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        // A map of texts and flags is always JSON.
        text(status, "application/json", serde_json::to_string(&report).unwrap_or_default())
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        text(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics.encode())
    }
}

fn refused<B>(fault: Fault, request: &Request<B>) -> Response<Full<Bytes>> {
    let id = request.extensions().get().copied().unwrap_or_else(RequestId::new);
    fault.response(ErrorShape::Plain, id)
}

/// Alive means: this process answers. It says nothing about what the process needs.
fn alive() -> Response<Full<Bytes>> {
    text(StatusCode::OK, "application/json", r#"{"status":"alive"}"#.to_owned())
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// For a process without a port of its own: serves the pages at `HOOKSTREAM_METRICS_ADDR`, if that is set.
pub async fn spawn(supervisor: &mut Supervisor, settings: &Settings, admin: Admin) -> anyhow::Result<()> {
    const ADDRESS: &str = "HOOKSTREAM_METRICS_ADDR";
    if settings.get(ADDRESS).is_none() {
        return Ok(());
    }
    let listener = bind(settings, ADDRESS).await?;
    tracing::info!(address = %listener.local_addr()?, "health and metrics at {}", listener.local_addr()?);
    let limits = Limits { connections_max: 64, ..Limits::read(settings)? };
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let answer = admin.answer(&request).unwrap_or_else(|| refused(Fault::NoPage, &request));
        async move { Ok::<_, Infallible>(answer) }
    });
    let shutdown = supervisor.shutdown();
    supervisor.spawn("metrics", async move { Ok(serve(listener, limits, service, shutdown).await?) });
    Ok(())
}
