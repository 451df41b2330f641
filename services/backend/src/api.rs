//! The routes. What is read comes from the read models; what is commanded goes into the stream.

mod analytics;
mod audit;
mod clashes;
mod commands;
mod dead_letters;
mod events;
mod queue;
mod task_logs;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use hyper::header::CONTENT_TYPE;

use crate::Backend;
use crate::metrics::{self, Requests};
use crate::problem::{self, Problem};

/// Every path with its methods, as `openapi.json` has them too.
fn routes() -> Vec<(&'static str, MethodRouter<Backend>)> {
    vec![
        ("/api/v1/queue", get(queue::list)),
        ("/api/v1/queue/{id}", get(queue::of_issue).delete(commands::dequeue)),
        ("/api/v1/queue/config", get(queue::config).post(commands::configure)),
        ("/api/v1/queue/config/pause", post(commands::pause)),
        ("/api/v1/queue/enqueue", post(commands::enqueue)),
        ("/api/v1/queue/plan", post(commands::plan)),
        ("/api/v1/queue/{id}/execute", post(commands::execute)),
        ("/api/v1/queue/{id}/retry", post(commands::retry)),
        ("/api/v1/task-logs", get(task_logs::list)),
        ("/api/v1/analytics/webhooks", get(analytics::webhooks::list)),
        ("/api/v1/analytics/workflows", get(analytics::workflows::list)),
        ("/api/v1/analytics/errors", get(analytics::errors::list)),
        ("/api/v1/analytics/latency", get(analytics::latency::list)),
        ("/api/v1/audit", get(audit::list)),
        ("/api/v1/audit/checkpoint", get(audit::checkpoint)),
        ("/api/v1/audit/consistency", get(audit::consistency)),
        ("/api/v1/audit/proof/{id}", get(audit::proof)),
        ("/api/v1/audit/resumptions", get(audit::resumptions)),
        ("/api/v1/dead-letters", get(dead_letters::list)),
        ("/api/v1/events", get(events::live)),
        ("/openapi.json", get(openapi)),
        ("/healthz", get(admin)),
        ("/health", get(admin)),
        ("/ping", get(admin)),
        ("/readyz", get(admin)),
        ("/metrics", get(admin)),
    ]
}

/// Every path that the backend serves; `{id}` stands for one segment.
pub fn paths() -> Vec<&'static str> {
    routes().into_iter().map(|(path, _)| path).collect()
}

/// Everything the backend serves.
pub(crate) fn router(backend: Backend) -> Router {
    let requests = Requests::new(&backend.admin.metrics);
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(from_fn(problem::render))
        .layer(from_fn_with_state(requests, metrics::count))
        .with_state(backend)
}

/// `GET /openapi.json`: what all this is, for programs.
async fn openapi() -> Response {
    let document = include_str!("../../../schemas/backend/openapi.json");
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}

/// The pages that every process has.
async fn admin(State(backend): State<Backend>, request: Request) -> Response {
    match backend.admin.answer(&request) {
        Some(page) => page.map(Body::new),
        None => Problem::NotFound.into_response(),
    }
}
