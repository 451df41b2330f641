//! The routes. Commands come with a later version: today every path is read-only.

mod analytics;
mod audit;
mod dead_letters;
mod queue;
mod task_logs;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::Backend;
use crate::metrics::{self, Requests};
use crate::problem::{self, Problem};

/// Everything the backend serves.
pub(crate) fn router(backend: Backend) -> Router {
    let requests = Requests::new(&backend.admin.metrics);
    let api = Router::new()
        .route("/queue", get(queue::list))
        .route("/queue/config", get(queue::config))
        .route("/queue/{parent_issue}", get(queue::of_issue))
        .route("/task-logs", get(task_logs::list))
        .route("/analytics/webhooks", get(analytics::webhooks::list))
        .route("/analytics/workflows", get(analytics::workflows::list))
        .route("/analytics/errors", get(analytics::errors::list))
        .route("/analytics/latency", get(analytics::latency::list))
        .route("/audit", get(audit::list))
        .route("/dead-letters", get(dead_letters::list));
    Router::new()
        .nest("/api/v1", api)
        .route("/healthz", get(admin))
        .route("/health", get(admin))
        .route("/ping", get(admin))
        .route("/readyz", get(admin))
        .route("/metrics", get(admin))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(from_fn(problem::render))
        .layer(from_fn_with_state(requests, metrics::count))
        .with_state(backend)
}

/// The pages that every process has.
async fn admin(State(backend): State<Backend>, request: Request) -> Response {
    match backend.admin.answer(request.method(), request.uri().path()) {
        Some(page) => page.map(Body::new),
        None => Problem::NotFound.into_response(),
    }
}
