//! What the backend counts: requests by route and status, and how long they took.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hookstream_runtime::Metrics;
use hookstream_runtime::metrics::SECONDS_BUCKETS;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

/// The metrics of requests. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    count: Family<Answer, Counter>,
    seconds: Family<Route, Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

impl Requests {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let seconds = Family::new_with_constructor((|| Histogram::new(SECONDS_BUCKETS)) as fn() -> Histogram);
        Self {
            count: metrics.register("backend_requests", "Requests by route and status", Family::default()),
            seconds: metrics.register("backend_request_seconds", "Time to answer, by route", seconds),
        }
    }
}

/// Counts a request. The label is the route's pattern: a path that a caller makes up is no label.
pub(crate) async fn count(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let start = Instant::now();
    let response = next.run(request).await;
    requests.seconds.get_or_create(&Route { route: route.clone() }).observe(start.elapsed().as_secs_f64());
    requests.count.get_or_create(&Answer { route, status: response.status().as_u16() }).inc();
    response
}
